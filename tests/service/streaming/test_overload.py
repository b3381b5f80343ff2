"""Overload, over real sockets: what is dropped is reported, no client delays another."""

import asyncio
import threading
import time

import aiohttp
import pytest

from service.streaming.windower import LiveWindow
from tests.service.conftest import RATE, begin, noise, pcm, rest_of, until, wav
from tests.service.helpers.valve import Valve

MS = 1e-3
HOP = 2_048
"""Samples of the shortest hop."""


@pytest.fixture
async def held(serve):
    """A server that runs one window at a time, and the valve of its model, which is shut."""
    server = await serve(max_batch=1)
    valve = Valve(server)
    yield server, valve
    valve.let(10_000)


def adds_up(end):
    return (
        end["samples_received"]
        == end["samples_processed"] + end["samples_dropped"] + end["samples_tail"]
    )


async def send(server, seconds):
    """Send sound faster than it is played, and collect what comes."""
    async with server.stream() as socket:
        await begin(socket, hop=0.1)
        await socket.send_bytes(pcm(noise(seconds)))
        await socket.send_json({"type": "end"})
        return await rest_of(socket)


async def test_under_overload_every_window_is_answered_or_reported_dropped_and_the_newest_answered(
    serve, monkeypatch
):
    server, dropped = await serve(max_batch=1, max_waiting=4), []
    valve, cancel = Valve(server), LiveWindow.cancel
    monkeypatch.setattr(
        LiveWindow, "cancel", lambda window: (dropped.append(window), cancel(window))
    )
    streams = [asyncio.create_task(send(server, 6)) for _ in range(5)]
    windows = 1 + (6 - 2) * RATE // HOP
    # Nothing is answered until each stream has dropped all but its first window and its last four.
    await until(lambda: len(dropped) == 5 * (windows - 5))
    valve.let(10_000)
    for stream in streams:
        *messages, end, code = await stream
        assert (end["type"], end["reason"], code) == ("end", "client ended", 1000)
        starts = [each.get("start_sample", each.get("from_sample")) for each in messages]
        assert starts == [n * HOP for n in range(windows)]
        fates = [each.get("reason", each["type"]) for each in messages]
        assert fates == ["window", *["overload"] * (windows - 5), *["window"] * 4]
        assert adds_up(end)


async def test_a_client_far_faster_than_real_time_delays_no_other(held):
    server, valve = held
    greedy = asyncio.create_task(send(server, 6))
    await until(lambda: server.gateway.queue.depth >= 40)
    async with server.stream() as socket:
        before = server.gateway.queue.depth
        await begin(socket)
        await socket.send_bytes(pcm(noise(2)))
        await until(lambda: server.gateway.queue.depth > before)
        valve.let(3)  # the one that runs, the next of the greedy one, and this one
        assert (await socket.receive_json(timeout=60))["type"] == "window"
        assert valve.rows <= 3
        valve.let(10_000)
        *_, end, _ = await greedy
    assert adds_up(end)
    assert end["samples_received"] == 6 * RATE


async def test_a_flood_of_clips_delays_no_live_window(held):
    server, valve = held
    body = wav(noise(6))

    async def post():
        return (await server.post("/v1/models/toy/classify?hop=0.2", data=body))[0]

    clips = [asyncio.create_task(post()) for _ in range(10)]
    waiting = 4 - 1  # a batch of each clip that is decoded; one runs
    await until(lambda: server.gateway.queue.depth == waiting)
    async with server.stream() as socket:
        await begin(socket)
        await socket.send_bytes(pcm(noise(2)))
        await until(lambda: server.gateway.queue.depth == waiting + 1)
        valve.let(2)  # the one that runs, and this one
        assert (await socket.receive_json(timeout=60))["type"] == "window"
        assert valve.rows <= 2
        valve.let(10_000)
    assert await asyncio.gather(*clips) == [200] * 10


class StepClock:
    """A clock that advances 1 ms at each reading."""

    def __init__(self):
        self.now = time.monotonic()

    def __call__(self):
        self.now += MS
        return self.now


@pytest.mark.parametrize("size", [2, 2 * 8 * RATE], ids=["small messages", "one large message"])
async def test_no_client_blocks_the_event_loop(serve, size):
    server = await serve()
    data, begun, sent = pcm(noise(8 if size > 2 else 0.2)), threading.Event(), threading.Event()

    async def client():
        async with (
            aiohttp.ClientSession() as http,
            http.ws_connect(f"{server.url}/v1/models/toy/stream") as socket,
        ):
            await begin(socket, hop=0.1)
            begun.set()
            for at in range(0, len(data), size):
                await socket.send_bytes(data[at : at + size])
            await socket.send_json({"type": "end"})
            sent.set()
            return await rest_of(socket)

    sending = asyncio.create_task(asyncio.to_thread(asyncio.run, client()))
    await until(begun.is_set)
    server.gateway.turns.clock = clock = StepClock()
    sent.wait(0.5)  # so that as much as possible lies there at once
    stints, before = [], clock.now
    while not sending.done():
        await asyncio.sleep(0)
        stints.append(clock.now - before)
        before = clock.now
    assert (await sending)[-2]["samples_received"] == len(data) // 2
    assert 0 < max(stints) < 20 * MS


@pytest.mark.parametrize(("over", "status"), [(-1.0, 101), (1.0, 503)])
async def test_a_server_that_sheds_load_for_long_rejects_new_streams(serve, over, status):
    server = await serve(max_shedding=5)
    now = server.gateway.turns.clock()
    for ago in range(30, -1, -1):
        server.gateway.load_shedder.record(now - (5 + over) * ago / 30)
    try:
        async with server.stream() as socket:
            assert (await begin(socket))["type"] == "ready"
        answered, headers = 101, {}
    except aiohttp.WSServerHandshakeError as error:
        answered, headers = error.status, error.headers
    assert answered == status
    assert ("Retry-After" in headers) is (status == 503)
