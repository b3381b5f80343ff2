"""Redis killed, stopped and full under live streams: each window has exactly one outcome."""

import asyncio
import contextlib
import os
import signal

import pytest

from tests.chaos.conftest import returning
from tests.service.conftest import RATE, begin, noise, pcm, rest_of, until, wav

WORKER = ("-m", "service.cli.main", "worker")
CHUNK_S = 0.1


@pytest.fixture
async def served(serve, victim, own_redis, artefacts):
    """A gateway here, a worker elsewhere, and a Redis between them that may be harmed."""
    worker = victim(*WORKER, "--redis", own_redis.url, "--artefacts", artefacts)
    server = await serve(redis=own_redis.url)
    assert (await server.post("/v1/models/toy/classify", data=wav(noise(2))))[0] == 200
    async with returning(os.getpid(), worker.process.pid):
        yield server, own_redis
    own_redis.signal(signal.SIGCONT)
    with contextlib.suppress(Exception):
        own_redis.client.config_set("maxmemory", 0)


async def play(server, harm, **start):
    """Stream in real time from 2 s before `harm` to 1 s after; return the messages."""
    async with server.stream() as socket:
        assert (await begin(socket, **start))["type"] == "ready"
        collecting = asyncio.create_task(rest_of(socket))
        loop = asyncio.get_running_loop()
        sound, size, zero = pcm(noise(20)), 2 * round(CHUNK_S * RATE), loop.time()
        until_chunk, n = None, 0
        while until_chunk is None or n < until_chunk:
            await asyncio.sleep(zero + n * CHUNK_S - loop.time())
            await socket.send_bytes(sound[n * size : (n + 1) * size])
            n += 1
            if n == round(2 / CHUNK_S):
                harming = asyncio.create_task(harm())
            if until_chunk is None and n > 2 / CHUNK_S and harming.done():
                until_chunk = n + round(1.5 / CHUNK_S)
        await harming
        await socket.send_json({"type": "end"})
        return await collecting


def check(messages):
    """Each window has one fate, in order; the end accounts for every sample. Returns the fates."""
    *told, end, code = messages
    assert (end["type"], end["reason"], code) == ("end", "client ended", 1000)
    fates = [message for message in told if message["type"] in ("window", "dropped")]
    starts = [
        fate["start_sample"] if fate["type"] == "window" else fate["from_sample"] for fate in fates
    ]
    hop = round(0.5 * RATE / 512) * 512
    assert starts == [n * hop for n in range(len(starts))]
    assert starts[-1] + 2 * RATE + hop > end["samples_received"]
    assert (
        end["samples_received"]
        == end["samples_processed"] + end["samples_dropped"] + end["samples_tail"]
    )
    return [fate["type"] for fate in fates]


@pytest.mark.slow  # waits for Redis many times
async def test_redis_killed_and_started_again_under_live_streams(served):
    server, redis = served

    async def harm(*, after):
        await asyncio.sleep(after + 0.7)
        redis.kill()
        await until(lambda: not server.gateway.ready)
        status, problem, headers = await server.get("/readyz")
        assert (status, problem["title"], headers["Retry-After"]) == (503, "Busy", "1")
        status, _, headers = await server.post("/v1/models/toy/classify", data=wav(noise(2)))
        assert (status, headers["Retry-After"]) == (503, "1")
        await asyncio.sleep(0.7)
        redis.start()
        await until(lambda: server.gateway.ready)

    async def wait():
        await until(harmed.done)

    harmed = asyncio.create_task(harm(after=2))
    latest, complete = await asyncio.gather(
        play(server, wait), play(server, wait, on_overload="complete")
    )
    await harmed
    fates = check(latest)
    assert fates[0] == fates[-1] == "window"
    assert "dropped" in fates
    assert set(check(complete)) == {"window"}
    assert (await server.post("/v1/models/toy/classify", data=wav(noise(2))))[0] == 200


async def test_redis_stopped_paused_full_and_read_only_under_a_live_stream(served):
    server, redis = served

    async def harm():
        await asyncio.sleep(0.3)
        redis.signal(signal.SIGSTOP)
        await asyncio.sleep(1.2)
        redis.signal(signal.SIGCONT)
        await until(lambda: server.gateway.ready)
        redis.client.client_pause(1_000)
        await asyncio.sleep(1.2)
        for spoil, mend in (
            (
                lambda: redis.client.config_set("maxmemory", 1),
                lambda: redis.client.config_set("maxmemory", 0),
            ),
            (
                lambda: redis.client.replicaof("127.0.0.1", 1),
                lambda: redis.client.replicaof("NO", "ONE"),
            ),
            (
                lambda: redis.client.config_set("min-replicas-to-write", 1),
                lambda: redis.client.config_set("min-replicas-to-write", 0),
            ),
        ):
            await until(lambda: server.gateway.ready)
            spoil()
            await until(lambda: not server.gateway.ready)
            await asyncio.sleep(0.3)
            mend()
        await until(lambda: server.gateway.ready)

    fates = check(await play(server, harm))
    assert fates[0] == fates[-1] == "window"
    assert "dropped" in fates
