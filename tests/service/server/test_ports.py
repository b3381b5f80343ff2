"""What probes hear while several gateways on a port start, restart and wait."""

import asyncio
import os
import shutil
import signal

import aiohttp
import grpc
import pytest

from service.grpc_api.health import HEALTH
from tests.helpers.server_process import free_port
from tests.helpers.waiting_file import kept_waiting
from tests.service.cli.test_serve import serve_process  # noqa: F401 - a fixture
from tests.service.conftest import until
from tests.service.grpc_api.test_health import NOT_SERVING, SERVING, asked, status
from tests.service.server.test_systemd import manager  # noqa: F401 - a fixture

OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
MANY = 30
"""Connections, so that the system gives each gateway some."""


class Probes:
    """Asks as probes do, over a connection each."""

    def __init__(self, http, port, grpc_port=0):
        self._http, self._grpc_port = http, grpc_port
        self.url = f"http://127.0.0.1:{port}"

    async def get(self, path):
        """The status and the detail of a response; 0 where there is no connection."""
        try:
            async with self._http.get(self.url + path) as response:
                is_problem = response.content_type == "application/problem+json"
                return response.status, (await response.json())["detail"] if is_problem else ""
        except aiohttp.ClientError:
            return 0, ""

    async def all_of(self, path):
        return {(await self.get(path))[0] for _ in range(MANY)}

    async def first_of(self, path, *, but=0):
        """The first response that there is, with another status than this one."""
        while True:
            if (answer := await self.get(path))[0] not in (0, but):
                return answer
            await asyncio.sleep(0.01)

    async def told(self, path, code, words):
        """Wait for a response with this status and these words in its detail."""
        while True:
            found, detail = await self.get(path)
            if found == code and words in detail:
                return
            await asyncio.sleep(0.01)

    async def grpc_health(self):
        address = f"127.0.0.1:{self._grpc_port}"
        async with grpc.aio.insecure_channel(address, options=OWN_CONNECTION) as channel:
            check = channel.unary_unary(f"/{HEALTH}/Check")
            return status(await check(asked(), wait_for_ready=True, timeout=60))


@pytest.fixture
async def http():
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield session


@pytest.fixture
def folder(artefacts, tmp_path):
    """A folder of one model, and its file that a test keeps waiting."""
    shutil.copytree(artefacts / "toy" / "2", tmp_path / "artefacts" / "toy" / "2")
    return tmp_path / "artefacts", tmp_path / "artefacts" / "toy" / "2" / "model.onnx"


async def test_probes_are_answered_while_several_gateways_load_their_models(
    serve_process,  # noqa: F811
    folder,
    http,
    manager,  # noqa: F811
):
    ports = [free_port() for _ in range(3)]
    options = ("--port", ports[0], "--grpc-port", ports[1], "--metrics-port", ports[2])
    with kept_waiting(folder[1]) as lease:
        server = serve_process("--artefacts", folder[0], "--gateways", 2, *options)
        probes = Probes(http, ports[0], ports[1])
        assert await probes.first_of("/livez") == (200, "")
        await until(lambda: lease.keeps_somebody)
        # Each answers some of the requests, and the other may not have begun to load.
        await probes.told("/readyz", 503, "the models are still being loaded: toy 2")
        assert await probes.all_of("/livez") == {200}
        assert await probes.all_of("/readyz") == {503}
        assert (await probes.get("/v2/health/ready"))[0] == 503
        assert await probes.grpc_health() == NOT_SERVING
        assert (await Probes(http, ports[2]).get("/metrics"))[0] == 200
        # A second round of the supervisor, which has told it by now if it will.
        for _ in range(3):
            assert (await asyncio.to_thread(manager.recv, 100)).startswith(b"WATCHDOG=1")
    assert await probes.first_of("/readyz", but=503) == (200, "")
    # Who was told so reaches no other that is not.
    assert await probes.all_of("/readyz") == {200}
    assert await probes.grpc_health() == SERVING
    await asyncio.to_thread(server.until, " ready url", times=2)
    while await asyncio.to_thread(manager.recv, 100) != b"READY=1":
        pass
    assert await asyncio.to_thread(server.end) == 0


@pytest.mark.slow  # four starts of a gateway
async def test_one_that_restarts_answers_only_while_no_other_is_ready(serve_process, folder, http):  # noqa: F811
    server = serve_process("--artefacts", folder[0], "--gateways", 2)
    port = int(
        (await asyncio.to_thread(server.until, r" ready url=http://[\d.]+:(\d+)", times=2))[1]
    )
    pids = [int(server.until(rf"gateway started number={at} pid=(\d+)")[1]) for at in range(2)]
    probes = Probes(http, port)
    with kept_waiting(folder[1]) as lease:
        os.kill(pids[0], signal.SIGKILL)
        await asyncio.to_thread(server.until, "gateway exited number=0")
        await until(lambda: lease.keeps_somebody)
        assert await probes.all_of("/readyz") == {200}
        os.kill(pids[1], signal.SIGKILL)
        await asyncio.to_thread(server.until, "gateway exited number=1")
        assert await probes.first_of("/livez") == (200, "")
        assert await probes.all_of("/readyz") == {503}
    await asyncio.to_thread(server.until, " ready url", times=3)
    assert await probes.all_of("/readyz") == {200}
    assert await asyncio.to_thread(server.end) == 0


# Slow: with one gateway it is the same code, in one process less.
@pytest.mark.parametrize("gateways", [pytest.param(1, marks=pytest.mark.slow), 2])
async def test_probes_are_answered_while_the_queue_is_away(serve_process, folder, http, gateways):  # noqa: F811
    ports = [free_port() for _ in range(3)]
    options = ("--port", ports[0], "--grpc-port", ports[1], "--gateways", gateways)
    redis = f"redis://127.0.0.1:{ports[2]}"
    server = serve_process("--artefacts", folder[0], "--redis", redis, *options)
    probes = Probes(http, ports[0], ports[1])
    assert await probes.first_of("/livez") == (200, "")
    for _ in range(gateways):
        await asyncio.to_thread(server.until, "queue unavailable")
    assert await probes.all_of("/livez") == {200}
    await probes.told("/readyz", 503, "queue")
    assert await probes.grpc_health() == NOT_SERVING
    assert await asyncio.to_thread(server.end) == 0


def test_without_a_model_several_gateways_end_with_the_reason_as_one_does(serve_process, tmp_path):  # noqa: F811
    server = serve_process("--artefacts", tmp_path, "--gateways", 2)
    assert "no artefact" in server.until("cannot serve").string
    assert server.process.wait(60) == 1
