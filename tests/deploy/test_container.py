"""The images and the Compose file name only what exists: paths, commands, options, ports."""

import fnmatch
import json
import re
import shlex
import subprocess

import pytest
import yaml

from service.cli import serve, worker
from service.settings import Settings, parse
from tests.helpers.server_process import ROOT
from tests.service.helpers.redis_server import PROGRAM, start_redis
from tools import package

FOLDER = ROOT / "deploy" / "container"
IMAGES = sorted(FOLDER.glob("Containerfile*"))
COMPOSE = yaml.safe_load((FOLDER / "compose.yml").read_text("utf-8"))
SERVICES = COMPOSE["services"]
OURS = ("gateway", "worker")
HEALTH = {"gateway": "8000/readyz", "worker": "8002/livez"}
PASSWORD = {"TIMBRE_PASSWORD": "secret"}


def steps(path):
    """The instructions of a file, as (name, rest)."""
    lines = [line for line in path.read_text("utf-8").splitlines() if not line.startswith("#")]
    text = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [line.split(" ", 1) for line in text.splitlines() if line]


def value_of(image, name):
    return json.loads(dict(steps(image))[name])


def options_of(command):
    """The settings of a `timbre` command line; rejected as the command itself rejects it."""
    program, *arguments = shlex.split(command) if isinstance(command, str) else command
    if program == "serve":
        return serve._arguments(arguments)
    assert program == "worker"
    given = worker._arguments(arguments)
    given.pop("burst")
    return parse(given.pop("set")) | given


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_an_image_is_made_of_the_wheel_and_what_is_sent_to_the_build(image):
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    sent = [line[1:] for line in ignored if line.startswith("!")]
    copied = [
        source
        for name, rest in steps(image)
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]
    assert sorted(copied) == sorted(sent)
    (wheel,) = [source for source in copied if "*" in source]
    assert fnmatch.fnmatch(str(package.OUT.relative_to(ROOT) / "timbre-1.whl"), wheel)
    assert all((ROOT / source).exists() for source in copied if source != wheel)


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_what_an_image_installs_is_told_to_the_script_as_it_reads_it(image):
    (command,) = [rest for name, rest in steps(image) if name == "RUN" and "/src/install" in rest]
    python, extras, *runtime = shlex.split(command)[1:]
    assert python.endswith("python3")
    assert extras == "${EXTRAS}"
    assert all(re.fullmatch(r"onnxruntime-gpu[\w-]*==[\d.]+", each) for each in runtime)
    assert bool(runtime) == (image.name != "Containerfile")


def test_the_script_that_installs_is_one_of_the_shell():
    subprocess.run(["sh", "-n", FOLDER / "install"], check=True)


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_an_image_runs_the_server_on_its_ports_as_a_user_without_rights(image):
    settings = options_of(value_of(image, "CMD"))
    assert value_of(image, "ENTRYPOINT") == ["timbre"]
    assert settings["host"] == "0.0.0.0"
    assert "insecure" not in settings
    assert Settings().port in map(int, dict(steps(image))["EXPOSE"].split())
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", dict(steps(image))["USER"])
    assert f":{HEALTH['gateway']}" in dict(steps(image))["HEALTHCHECK"]


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.name)
def test_the_last_stage_installs_no_compiler_and_all_images_end_alike(image):
    def end(path):
        found = steps(path)
        return found[max(at for at, (name, _) in enumerate(found) if name == "FROM") + 1 :]

    installed = " ".join(text for name, text in end(image) if name == "RUN")
    assert not re.search(r"gcc|g\+\+|clang|build-essential|-dev\b|\bpip\b", installed)
    alike, first = (
        [step for step in end(path) if step[0] not in {"RUN", "COPY"}]
        for path in (image, IMAGES[0])
    )
    assert alike == first


@pytest.mark.parametrize("service", OURS)
def test_the_compose_file_starts_what_timbre_accepts(service):
    given = options_of(SERVICES[service]["command"])
    address = COMPOSE["x-timbre"]["environment"]["TIMBRE_REDIS"]
    user, host = re.fullmatch(
        r"redis://(\w+):\$\{TIMBRE_PASSWORD:\?.*\}@(\w+):6379", address
    ).groups()
    assert host in SERVICES
    assert f"user {user} on" in (ROOT / "deploy" / "redis" / "users.acl").read_text("utf-8")
    settings = Settings(**given | {"redis": f"redis://{host}"})
    # Beyond loopback, or another container reaches neither.
    assert settings.metrics_host == "0.0.0.0"
    settings.check_exposure("metrics_host", otherwise="")
    # Prometheus sends no key.
    assert not settings.guards_metrics
    if service == "gateway":
        assert (settings.host, settings.workers, settings.keys) == ("0.0.0.0", 0, "redis")
    grace = int(SERVICES[service]["stop_grace_period"].rstrip("s"))
    assert grace > settings.grace
    health = SERVICES[service].get("healthcheck", {}).get("test") or [":8000/readyz"]
    assert HEALTH[service] in health[-1]


def test_prometheus_asks_the_services_on_their_port_for_metrics():
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text("utf-8"))
    (asked,) = config["scrape_configs"][0]["dns_sd_configs"]
    assert asked["names"] == list(OURS)
    for service in OURS:
        assert options_of(SERVICES[service]["command"])["metrics_port"] == asked["port"]
    alone = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text("utf-8"))
    assert config["scrape_configs"][0]["job_name"] == alone["scrape_configs"][0]["job_name"]
    assert config["rule_files"] == alone["rule_files"]


def test_every_file_that_is_mounted_exists_and_every_volume_is_declared():
    for name, service in SERVICES.items():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).resolve().exists(), (name, source)
            else:
                assert source in COMPOSE["volumes"], (name, source)
        assert set(service.get("depends_on", ())) <= set(SERVICES)
    build = SERVICES["gateway"]["build"]
    assert (FOLDER / build["context"] / build["dockerfile"]).resolve() in IMAGES


def test_grafana_asks_the_prometheus_of_the_file():
    source = yaml.safe_load((FOLDER / "grafana-prometheus.yml").read_text("utf-8"))
    assert source["datasources"][0]["url"] == "http://prometheus:9090"
    assert "prometheus" in SERVICES
    alone = ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "prometheus.yml"
    assert source["datasources"][0]["name"] in alone.read_text("utf-8")


def test_nothing_is_reached_from_other_machines_and_ours_may_do_nothing_special():
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    for name in OURS:
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        written = [mount.split(":")[0] for mount in SERVICES[name]["tmpfs"]]
        assert set(value_of(IMAGES[0], "VOLUME")) <= set(written)


def test_the_command_of_redis_starts_one_that_takes_the_password(tmp_path, tmp_path_factory):
    served = start_redis(tmp_path_factory)  # skips without redis-server
    served.end()
    shell, flag, script = SERVICES["redis"]["entrypoint"]
    mounts = dict(mount.split(":")[1::-1] for mount in SERVICES["redis"]["volumes"])
    for inside, shipped in mounts.items():
        if shipped.startswith("."):
            script = script.replace(inside, str((FOLDER / shipped).resolve()))
    script = script.replace("/run/users.acl", f"{tmp_path}/users.acl").replace(
        "/data", f"{tmp_path}"
    )
    script = script.replace("$$", "$").replace("redis-server", PROGRAM)
    script += f" --port 0 --unixsocket {tmp_path}/redis.sock"
    process = subprocess.Popen([shell, flag, script], env=PASSWORD | {"PATH": "/usr/bin:/bin"})
    health = SERVICES["redis"]["healthcheck"]["test"][1].replace("$$", "$")
    health = health.replace("redis-cli", f"redis-cli -s {tmp_path}/redis.sock")
    try:
        command = f"until [ -S {tmp_path}/redis.sock ]; do sleep 0.02; done; {health}"
        subprocess.run(
            ["sh", "-c", command], check=True, env=PASSWORD | {"PATH": "/usr/bin:/bin"}, timeout=30
        )
    finally:
        process.terminate()
        process.wait()
