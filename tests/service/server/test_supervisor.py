"""What several processes count together, and what is left of it when one is killed."""

import asyncio
import os
import signal
import time
from types import SimpleNamespace

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.server.supervisor import CANNOT_SERVE, Supervisor
from service.settings import Settings
from tests.service.cli.test_serve import Process
from tests.service.conftest import begin, noise, pcm, until, wav

CLASSIFY = "/v1/models/toy/classify"
COUNTED = ("requests_total", "/v1/models/{name}/classify", "toy", "200")


@pytest.fixture
def server(artefacts):
    """Two gateways, as one process in the end."""
    process = Process("--artefacts", artefacts, "--gateways", 2, "--set", "clip_deadline=60")
    yield process
    process.end()
    process.process.stderr.close()


async def scrape(http, url):
    async with http.get(url + "/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    return {
        (each.name.removeprefix("timbre_"), *each.labels.values()): each.value
        for family in families
        for each in family.samples
    }


async def classify(http, url, outcomes):
    """Add the outcome of a request of three windows: whether there was an answer."""
    try:
        async with http.post(url + CLASSIFY, data=wav(noise(6))) as response:
            outcomes.append(len((await response.json())["windows"]) == 3)
    except aiohttp.ClientError:
        outcomes.append(False)


async def test_every_count_is_exact_over_the_gateways_and_after_one_was_killed(server):
    url = (await asyncio.to_thread(server.until, r" ready url=(\S+)", times=2))[1]
    pids = [int(server.until(rf"gateway started number={at} pid=(\d+)")[1]) for at in range(2)]
    # A connection for each request, so that both gateways get some.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        outcomes = []
        await asyncio.gather(*(classify(http, url, outcomes) for _ in range(20)))
        for _ in range(6):
            found = await scrape(http, url)
            assert found[COUNTED] == 20
            assert found["windows_total", "toy"] == found["batch_size_sum", "toy"] == 60
        async with http.ws_connect(f"{url}/v1/models/toy/stream") as socket:
            await begin(socket, on_overload="complete")
            await socket.send_bytes(pcm(noise(2)))
            assert (await socket.receive_json())["type"] == "window"
            assert (await scrape(http, url))["streams", "toy"] == 1
            os.kill(pids[0], signal.SIGKILL)
            await asyncio.to_thread(server.until, "gateway exited number=0")
            found = await scrape(http, url)
            assert found[COUNTED] == 20
            assert found["windows_total", "toy"] == 61
            assert found["coverage_seconds_total", "heard"] == 2
        await asyncio.to_thread(server.until, r" ready url", times=3)
        await asyncio.gather(*(classify(http, url, outcomes) for _ in range(10)))
        found = await scrape(http, url)
        assert found[COUNTED] == 30
        assert found["windows_total", "toy"] == 91
        assert found["restarts_total", "gateway"] == 1
        assert found["streams", "toy"] == 0
        outcomes.clear()
        load = [asyncio.create_task(classify(http, url, outcomes)) for _ in range(40)]
        await until(lambda: len(outcomes) > 10)
        os.kill(pids[1], signal.SIGKILL)
        await asyncio.gather(*load)
        found = await scrape(http, url)
    # Killed between counting and sending, a response is counted that nobody has.
    answered = sum(outcomes)
    assert answered <= found[COUNTED] - 30 <= len(load)
    assert 3 * answered <= found["windows_total", "toy"] - 91 <= 3 * len(load)


def test_only_a_gateway_that_has_ended_by_itself_cannot_serve(artefacts):
    watching = Supervisor(Settings(port=0, artefacts=artefacts), since=time.monotonic())
    (gateway,) = watching._children
    ended = SimpleNamespace(exitcode=0, is_alive=lambda: False)
    try:
        for code, cannot_serve in ((CANNOT_SERVE, True), (1, False), (-9, False)):
            ended.exitcode, gateway.process = code, ended
            watching._schedule_restart(gateway, time.monotonic())
            assert watching._cannot_serve is cannot_serve
        gateway.cannot_serve = True
        watching._start(gateway)
        assert not watching._cannot_serve
    finally:
        watching._stop()
        for each in (watching._reserved, watching._wake, watching._signal_socket):
            each.close()
