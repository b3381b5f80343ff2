"""Limits shared by the gateways of one machine: in one process, in two, after a crash."""

import asyncio
import fcntl
import multiprocessing
from types import SimpleNamespace

import aiohttp
import pytest

from common.errors import TooMany
from service.auth import file_limits as module
from service.auth.file_limits import FileLimits
from service.server import supervisor
from service.settings import Settings
from tests.service.cli.test_keys import run
from tests.service.cli.test_serve import serve_process  # noqa: F401 - a fixture
from tests.service.conftest import begin
from tests.service.helpers.keys import key, opened
from tests.service.helpers.spend import spend


async def test_requests_are_counted_together_and_by_key(tmp_path, monkeypatch):
    now = 1_000.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))
    gateways = [FileLimits(tmp_path, number=n) for n in range(2)]
    mine, other = key(rate=4.0), key(rate=4.0)
    for n in range(4):
        await gateways[n % 2].count_request(mine)
    for gateway in gateways:
        with pytest.raises(TooMany, match="4 requests per second") as caught:
            await gateway.count_request(mine)
        assert caught.value.retry_after == 1
    await gateways[0].count_request(other)
    now += 0.3
    await gateways[1].count_request(mine)
    with pytest.raises(TooMany):
        await gateways[0].count_request(mine)


async def test_a_slow_bucket_reports_the_wait(tmp_path):
    mine = key(rate=0.001)
    await FileLimits(tmp_path, number=0).count_request(mine)
    with pytest.raises(TooMany) as caught:
        await FileLimits(tmp_path, number=1).count_request(mine)
    assert 900 < caught.value.retry_after <= 1_000


async def test_streams_are_counted_together_and_released_after_a_crash_too(tmp_path):
    gateways, mine = [FileLimits(tmp_path, number=n) for n in range(2)], key(streams=2)
    one, two = await opened(gateways[0], mine), await opened(gateways[1], mine)
    for gateway in gateways:
        with pytest.raises(TooMany, match="2 of 2 streams are open with this key"):
            await opened(gateway, mine)
    await one.aclose()
    three = await opened(gateways[1], mine)
    # Another in the place of the second, which died with its two.
    gateways[1] = FileLimits(tmp_path, number=1)
    again = [await opened(gateways[1], mine) for _ in range(2)]
    with pytest.raises(TooMany):
        await opened(gateways[0], mine)
    for each in (two, three, *again):
        await each.aclose()
    assert (await opened(gateways[0], mine)) is not None


def test_two_processes_at_once_get_no_more_than_one_would(tmp_path):
    mine = key(rate=500.0)
    context = multiprocessing.get_context("spawn")
    made, together = context.Queue(), context.Barrier(2)
    processes = [
        context.Process(target=spend, args=(tmp_path, n, mine, together, made)) for n in range(2)
    ]
    for each in processes:
        each.start()
    allowed = [made.get(timeout=120) for _ in processes]
    for each in processes:
        each.join()
    assert sum(allowed) == 500


async def test_when_the_files_cannot_be_used_each_gateway_counts_alone(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(module, "LOCAL_FALLBACK_S", 600)
    monkeypatch.setattr(module, "LOCK_S", 0.05)
    mine = key(rate=0.001, streams=1)
    gateway = FileLimits(tmp_path, number=0)
    await gateway.count_request(mine)
    with (tmp_path / mine.id).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        await gateway.count_request(mine)
        stream = await opened(gateway, mine)
    assert capsys.readouterr().err.count("counted by each gateway alone") == 1
    monkeypatch.setattr(module, "LOCK_S", 60)
    gateway._local_until = 0.0
    with pytest.raises(TooMany):
        await gateway.count_request(mine)
    assert capsys.readouterr().err.count("counted together again") == 1
    await stream.aclose()
    # What was not counted is not given back.
    await opened(gateway, mine)
    with pytest.raises(TooMany):
        await opened(gateway, mine)


async def test_a_gateway_stopped_while_it_counts_blocks_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOCK_S", 0.02)
    mine = key(streams=1)
    stream = await opened(FileLimits(tmp_path, number=0), mine)
    with (tmp_path / mine.id).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        async with asyncio.timeout(60):
            await FileLimits(tmp_path, number=1).count_request(mine)
            restarted = FileLimits(tmp_path, number=0)
    await (await opened(restarted, mine)).aclose()
    await stream.aclose()


async def test_a_stream_that_closes_while_the_file_is_locked_is_released(tmp_path):
    mine = key(streams=1)
    gateways = [FileLimits(tmp_path, number=n) for n in range(2)]
    stream = await opened(gateways[0], mine)
    with (tmp_path / mine.id).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        await stream.aclose()
    await opened(gateways[1], mine)


async def test_two_gateways_of_a_server_count_together(
    serve_process,  # noqa: F811
    tmp_path,
):
    keys = tmp_path / "keys.json"
    text = run("keys", "create", "carol", "--keys", keys, "--streams", 6, "--rate", 1_000)[
        1
    ].strip()
    server = serve_process("--gateways", 2, "--keys", keys)
    url = (await asyncio.to_thread(server.until, r"url=(\S+)", times=2))[1]
    headers = {"Authorization": f"Bearer {text}"}
    async with aiohttp.ClientSession(
        headers=headers, connector=aiohttp.TCPConnector(force_close=True)
    ) as http:
        stream = f"{url}/v1/models/toy/stream"
        sockets = [await http.ws_connect(stream) for _ in range(30)]
        answers = [await begin(each) for each in sockets]
        assert [answer["type"] for answer in answers].count("ready") == 6
        assert {answer.get("code") for answer in answers} == {None, "too-many-requests"}
        for each in sockets:
            await each.close()

        async def free():
            async with http.ws_connect(stream) as socket:
                return (await begin(socket))["type"] == "ready"

        async with asyncio.timeout(60):
            while not await free():
                pass
    assert await asyncio.to_thread(server.end) == 0


@pytest.mark.parametrize(("gateways", "keys"), [(2, "keys.json"), (2, ""), (1, "keys.json")])
def test_the_supervisor_removes_its_files(tmp_path, monkeypatch, gateways, keys):
    monkeypatch.setattr(supervisor, "MEMORY", tmp_path)
    one = supervisor.Supervisor(Settings(port=0, gateways=gateways, keys=keys), since=0.0)
    assert [each.stat().st_mode & 0o777 for each in tmp_path.iterdir()] == [0o700]
    one._stop()
    assert not list(tmp_path.iterdir())
    for each in (one._reserved, one._wake, one._signal_socket):
        each.close()
