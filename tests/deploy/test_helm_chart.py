"""The Helm chart: its values and their schema; slow: rendered by Helm, held against Kubernetes."""

import copy
import json
import re
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import jsonschema
import pytest
import yaml

from service.metrics.metrics import Metrics
from service.queue import redis_keys
from service.settings import Settings
from tests.deploy.test_container import options_of
from tests.helpers.server_process import ROOT

CHART = ROOT / "deploy" / "helm" / "timbre"
HERE = Path(__file__).parent / "peers"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text("utf-8"))
GIVEN = {
    "plain": {},
    "file": {
        "keys": {"source": "file", "secret": "api-keys"},
        "settings": {"max_body": 33554432, "models": "instruments,clip-art", "ffmpeg": True},
        "grace": 120,
        "drain": 20,
        "artefacts": {"claim": "models"},
        "image": {"tag": "@sha256:00"},
        "imagePullSecrets": [{"name": "registry"}],
        "networkPolicy": {
            "clients": [{"podSelector": {}}],
            "egress": [{"ports": [{"port": 4318}]}],
        },
    },
    "sentinel": {
        "scaling": {
            "min": 1,
            "max": 1,
            "clips": {"kind": "sentinel", "addresses": "a:26379,b:26379", "service": "timbre"},
        },
        "redis": {"ports": [6379, 26379]},
    },
    "fixed": {"scaling": {"enabled": False}, "networkPolicy": {"enabled": False}},
    "reversed": {"scaling": {"min": 5, "max": 4}},
}
TRIGGERS = {
    "redis-streams": {"address", "databaseIndex", "enableTLS", "stream", "streamLength"},
    "redis-sentinel-streams": {
        *("addresses", "sentinelMaster", "databaseIndex", "enableTLS", "stream", "streamLength"),
    },
    "prometheus": {"serverAddress", "query", "threshold", "ignoreNullValues"},
}
"""What KEDA's documentation knows, of what is used here: without `consumerGroup` it takes XLEN."""


def merged(base, changes):
    base = copy.deepcopy(base)
    for name, value in changes.items():
        inner = isinstance(value, dict) and isinstance(base.get(name), dict)
        base[name] = merged(base[name], value) if inner else value
    return base


def accepts(changes):
    return jsonschema.Draft7Validator(SCHEMA).is_valid(merged(VALUES, changes))


@pytest.mark.parametrize("name", GIVEN)
def test_the_values_fit_their_schema(name):
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    assert accepts(GIVEN[name])


@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({"scaling": {"min": 1}}, True),
        ({"scaling": {"min": 0}}, False),
        ({"scaling": {"max": 0}}, False),
        ({"scaling": {"fallback": 0}}, False),
        ({"worker": {"replicas": 0}}, False),
        ({"gateway": {"replicas": 0}}, False),
        ({"scaling": {"stabilization": 3600}}, True),
        ({"scaling": {"stabilization": 3601}}, False),
        ({"scaling": {"live": {"age": 2}}}, True),
        ({"scaling": {"live": {"age": 2.1}}}, False),
        ({"scaling": {"live": {"target": 0}}}, False),
        ({"scaling": {"live": {"prometheus": "prometheus:9090"}}}, False),
        ({"scaling": {"clips": {"addresses": "redis://host"}}}, False),
        ({"scaling": {"clips": {"kind": "sentinel"}}}, False),
        ({"grace": 0}, False),
        ({"keys": {"source": "file"}}, False),
        ({"keys": {"source": "none"}}, False),
        ({"settings": {"insecure": True}}, False),
        ({"settings": {"grace": 30}}, False),
        ({"settings": {"max_body": [1]}}, False),
        ({"unknown": 1}, False),
    ],
)
def test_the_schema_rejects_what_cannot_work(changes, accepted):
    assert accepts(changes) == accepted


def test_what_the_chart_sets_itself_are_settings():
    reserved = SCHEMA["properties"]["settings"]["propertyNames"]["not"]["enum"]
    assert set(reserved) <= {field.name for field in fields(Settings)}


@pytest.fixture(scope="module")
def rendered():
    """The documents of each set of values by kind and component, by Helm 4."""
    made = subprocess.run(
        [ROOT / "tools/peer-environment", HERE / "chart.txt"],
        check=True, capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    ran = subprocess.run(
        [made.stdout.strip(), HERE / "render_chart.py", CHART],
        input=json.dumps([*GIVEN.values()]), check=True, capture_output=True, text=True,
    )  # fmt: skip
    printed = json.loads(ran.stdout)
    assert printed["lint"] == []
    return dict(zip(GIVEN, printed["rendered"], strict=True))


def chosen(case, kind, component):
    (found,) = (
        document
        for document in case["documents"]
        if document["kind"] == kind
        and document["metadata"]["labels"]["app.kubernetes.io/component"] == component
    )
    return found


SLOW = pytest.mark.slow  # It installs Helm and the schemas of Kubernetes: 250 MB.
PARTS = ("gateway", "worker")


@SLOW
@pytest.mark.parametrize("name", [name for name in GIVEN if name != "reversed"])
def test_all_that_is_rendered_fits_kubernetes_and_keda(rendered, name):
    assert rendered[name]["faults"] == []
    kinds = {document["kind"] for document in rendered[name]["documents"]}
    assert ("ScaledObject" in kinds, "NetworkPolicy" in kinds) == (name != "fixed",) * 2


@SLOW
def test_more_workers_at_least_than_at_most_are_rejected(rendered):
    assert "scaling.min is larger" in rendered["reversed"]["error"]


@SLOW
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["plain", "file"])
def test_a_pod_runs_what_timbre_accepts_with_time_to_end_and_no_rights(rendered, name, part):
    pod = chosen(rendered[name], "Deployment", part)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    settings = Settings(**options_of(container["args"]) | {"redis": "redis://host"})
    values = merged(VALUES, GIVEN[name])
    assert pod["terminationGracePeriodSeconds"] > settings.grace + values["drain"]
    assert settings.grace == values["grace"]
    assert settings.workers == (0 if part == "gateway" else 1)
    for setting, value in values["settings"].items():
        known = getattr(settings, setting)
        assert known == (tuple(value.split(",")) if isinstance(known, tuple) else value)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports["metrics"] == settings.metrics_port
    settings.check_exposure("metrics_host", otherwise="")
    # Prometheus sends no key.
    assert not settings.guards_metrics
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if asked := container.get(probe, {}).get("httpGet"):
            assert asked["port"] in ports
            assert asked["path"] in {"/livez", "/readyz"}
    mounts = {mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {volume["name"] for volume in pod["volumes"]}
    assert ("keys" in mounts) == (name == "file" and part == "gateway")


@SLOW
def test_every_selector_chooses_the_pods_of_its_part_and_no_other(rendered):
    for part, other in (PARTS, PARTS[::-1]):
        labels = {
            each: chosen(rendered["plain"], "Deployment", each)["spec"]["template"]["metadata"][
                "labels"
            ].items()
            for each in (part, other)
        }
        for kind in ("Deployment", "PodDisruptionBudget", "NetworkPolicy"):
            spec = chosen(rendered["plain"], kind, part)["spec"]
            wanted = (spec.get("selector") or spec["podSelector"])["matchLabels"].items()
            assert wanted <= labels[part]
            assert not wanted <= labels[other]


@SLOW
@pytest.mark.parametrize("name", ["plain", "sentinel"])
def test_the_scaler_reads_the_length_of_the_stream_of_clips_and_metrics_that_exist(rendered, name):
    scaler = chosen(rendered[name], "ScaledObject", "worker")["spec"]
    assert scaler["minReplicaCount"] >= 1
    assert "idleReplicaCount" not in scaler
    families = set(Metrics().families)
    for trigger in scaler["triggers"]:
        assert set(trigger["metadata"]) == TRIGGERS[trigger["type"]]
        if "stream" in trigger["metadata"]:
            assert trigger["metadata"]["stream"] == redis_keys.CLIP_JOBS
        else:
            named = re.findall(r"\btimbre_\w+", trigger["metadata"]["query"])
            assert {re.sub("_bucket$", "", each) for each in named} <= families
            assert trigger["metadata"]["ignoreNullValues"] == "false"
    target = scaler["scaleTargetRef"]["name"]
    assert target == chosen(rendered[name], "Deployment", "worker")["metadata"]["name"]
    assert "replicas" not in chosen(rendered[name], "Deployment", "worker")["spec"]


QUIET = ('timbre_workers{job="timbre"}', "4+0x20")
BUSY = (
    QUIET,
    ('timbre_windows_total{job="timbre",model="a"}', "0+6000x20"),
    ('timbre_dropped_windows_total{job="timbre",model="a",reason="late"}', "0+3000x20"),
    ('timbre_dropped_windows_total{job="timbre",model="a",reason="gap"}', "0+9000x20"),
    ('timbre_window_age_seconds_bucket{job="timbre",stage="total",le="0.5"}', "0+0x20"),
    ('timbre_window_age_seconds_bucket{job="timbre",stage="total",le="1"}', "0+6000x20"),
    ('timbre_window_age_seconds_bucket{job="timbre",stage="total",le="+Inf"}', "0+6000x20"),
)


@SLOW
@pytest.mark.parametrize(
    ("series", "live", "age"),
    [
        ((), None, None),  # no gateway is scraped: nothing, so that KEDA falls back
        ((QUIET,), 0.0, 0.0),
        (BUSY, 150.0, 4 * 0.975),  # 100 answered and 50 dropped a second; 4 workers, p95 of 0.975 s
    ],
)
def test_the_queries_give_demand_and_age_and_nothing_without_gateways(
    rendered, tmp_path, series, live, age
):
    if not shutil.which("promtool"):
        pytest.skip("no promtool on this machine")
    triggers = {
        t["name"]: t
        for t in chosen(rendered["plain"], "ScaledObject", "worker")["spec"]["triggers"]
    }
    tests = [
        {
            "expr": triggers[name]["metadata"]["query"],
            "eval_time": "10m",
            "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
        }
        for name, value in (("live", live), ("age", age))
    ]
    inputs = [{"series": name, "values": values} for name, values in series]
    path = tmp_path / "queries.yml"
    path.write_text(
        json.dumps(
            {"tests": [{"interval": "1m", "input_series": inputs, "promql_expr_test": tests}]}
        )
    )
    ran = subprocess.run(
        ["promtool", "test", "rules", path], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
