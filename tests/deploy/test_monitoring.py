"""The board and the alerts name only what a server tells; Prometheus itself reads them."""

import asyncio
import json
import re
import shutil
import subprocess
from contextlib import contextmanager
from itertools import combinations

import aiohttp
import grpc
import pytest

from service.grpc_api.calls import STATUSES
from service.metrics.metrics import Metrics
from tests.helpers.server_process import ROOT, free_port, server_process
from tests.service.conftest import artefacts, begin, noise, pcm, serve, tone, wav  # noqa: F401

DEPLOY = ROOT / "deploy"
BOARD = json.loads((DEPLOY / "grafana" / "timbre.json").read_text())
RULES = DEPLOY / "prometheus" / "timbre.rules.yml"
NAME = re.compile(r"\btimbre_\w+")
PART = re.compile(r"_(bucket|sum|count)$")
EMPTY = {"Certificate ends in"}
"""Panels that show nothing without TLS."""


def expressions():
    """Those of the board, as Prometheus takes them, with the titles of their panels."""
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "30s")
            yield panel["title"], re.sub(r"\$(instance|model)", ".*", text)


def names_in(text):
    return {PART.sub("", name) for name in NAME.findall(text)}


async def test_every_metric_of_the_board_and_of_the_alerts_exists_in_a_scrape(serve):  # noqa: F811
    server = await serve()
    async with server.http.get(server.url + "/metrics") as response:
        told = set(re.findall(r"^# TYPE (\w+)", await response.text(), re.MULTILINE))
    board = names_in(" ".join(text for _, text in expressions()))
    rules = names_in(RULES.read_text())
    assert len(board) > 12
    assert board | rules <= told


def test_every_label_that_the_board_and_the_alerts_choose_by_exists():
    known = {name: {*f.labels, "instance", "le"} for name, f in Metrics().families.items()}
    texts = [text for _, text in expressions()] + [RULES.read_text()]
    for name, selector in re.findall(r"\b(timbre_\w+)\{([^}]*)\}", " ".join(texts)):
        labels = set(re.findall(r"(\w+)(?:=|!)", selector))
        assert labels <= known[PART.sub("", name)], (name, selector)


def test_the_alert_for_errors_knows_the_statuses_of_http_and_of_grpc():
    chosen = re.search(r'status=~"([^"]+)"', RULES.read_text())[1]
    failures = {code.name for status, code in STATUSES.items() if status >= 500} | {"INTERNAL"}
    for status in {str(status) for status in STATUSES} | {each.name for each in grpc.StatusCode}:
        fails = status in failures or status[0] == "5"
        assert bool(re.fullmatch(chosen, status)) == fails, status


def test_the_panels_of_the_board_do_not_overlap():
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    for one, other in combinations(places, 2):
        apart = [one[at] + one[size] <= other[at] for at, size in (("x", "w"), ("y", "h"))]
        apart += [other[at] + other[size] <= one[at] for at, size in (("x", "w"), ("y", "h"))]
        assert any(apart), (one, other)
    assert all(place["x"] + place["w"] <= 24 for place in places)


def test_the_alerts_are_those_of_the_page():
    page = (ROOT / "docs" / "metrics.md").read_text()
    alerts = re.findall(r"alert: (\w+)", RULES.read_text())
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == alerts


@pytest.mark.slow  # needs Prometheus: make monitoring
@pytest.mark.parametrize(
    "command",
    [
        "check config prometheus.yml",
        "check rules timbre.rules.yml",
        "test rules timbre.rules.test.yml",
    ],
)
def test_promtool_accepts_the_files(command):
    done = subprocess.run(
        ["promtool", *command.split()],
        cwd=DEPLOY / "prometheus",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow  # needs Prometheus: make monitoring
async def test_promtool_finds_nothing_to_say_about_a_scrape(serve):  # noqa: F811
    server = await serve()
    await server.post("/v1/models/toy/classify", data=wav(noise(4)))
    async with server.http.get(server.url + "/metrics") as response:
        text = await response.read()
    done = await asyncio.to_thread(
        subprocess.run, ["promtool", "check", "metrics"], input=text, capture_output=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


@contextmanager
def prometheus(folder, target, port):
    """A Prometheus with our configuration that scrapes one address every second."""
    text = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    text = text.replace("127.0.0.1:8002", target).replace("5s", "1s").replace("15s", "1s")
    (folder / "prometheus.yml").write_text(text)
    shutil.copy(RULES, folder)
    options = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    options.append(f"--web.listen-address=127.0.0.1:{port}")
    process = subprocess.Popen(["prometheus", *options], stderr=subprocess.DEVNULL)
    try:
        yield f"http://127.0.0.1:{port}/api/v1"
    finally:
        process.terminate()
        process.wait(60)


async def busy(http, url):
    """Stream and classify until cancelled."""
    while True:
        async with http.ws_connect(url + "/v1/models/toy/stream") as socket:
            await begin(socket, on_overload="complete", events=True)
            for sound in (tone(3), noise(3)):
                await socket.send_bytes(pcm(sound))
                await asyncio.sleep(0.5)
            async with http.post(url + "/v1/models/toy/classify", data=wav(noise(4))):
                pass


@pytest.mark.slow  # needs Prometheus: make monitoring
async def test_prometheus_has_numbers_for_every_panel_and_evaluates_every_alert(
    artefacts,  # noqa: F811
    tmp_path,
):
    port, missing = free_port(), dict(expressions())
    options = ("--artefacts", str(artefacts), "--gateways", "2", "--metrics-port", str(port))
    with (
        server_process(*options) as url,
        prometheus(tmp_path, f"127.0.0.1:{port}", free_port()) as api,
    ):
        async with aiohttp.ClientSession() as http, asyncio.timeout(120):
            load = asyncio.create_task(busy(http, url))
            while missing.keys() - EMPTY:
                await asyncio.sleep(1)
                for title, query in tuple(missing.items()):
                    try:
                        async with http.get(api + "/query", params={"query": query}) as response:
                            found = await response.json()
                    except aiohttp.ClientConnectorError:
                        continue
                    assert found["status"] == "success", (title, found)
                    if found["data"]["result"]:
                        del missing[title]
            async with http.get(api + "/rules") as response:
                (group,) = (await response.json())["data"]["groups"]
            load.cancel()
    assert {rule["health"] for rule in group["rules"]} <= {"ok", "unknown"}
    assert "err" not in {rule["health"] for rule in group["rules"]}
