"""The gateway's side of the Redis queue: what a job, a queue and an address leave behind."""

import asyncio

import pytest

from common.errors import Late, Unprocessable
from service.queue.redis import RedisQueue
from service.queue.redis_connection import connect, create_streams, redacted
from service.queue.redis_keys import CLIP_JOBS, GROUP, LIVE_JOBS, REPLIES
from tests.service.conftest import until
from tests.service.helpers.redis_proxy import redis_proxied
from tests.service.queue.test_contract import MS, Doubler, job


async def test_nothing_is_left_in_redis(start, redis_server, redis_url):
    model = Doubler()
    queue = start(model=model)
    await queue.open()
    await asyncio.gather(*(queue.submit(job(n)) for n in range(5)))
    model.open.clear()
    with pytest.raises(Late):
        await queue.submit(job(6, seconds=50 * MS))
    model.open.set()
    await queue.submit(job(7))
    await queue.close()
    client = redis_server.client
    await until(lambda: client.xlen(LIVE_JOBS) == 0)
    assert client.exists(REPLIES + queue._name) == 0
    assert (len(queue._sender), queue.depth) == (0, 0)


async def test_a_job_in_flight_when_redis_is_lost_ends_at_its_deadline(own, start):
    model = Doubler()
    queue = start(own.url, model=model)
    await queue.open()
    model.open.clear()
    asked = asyncio.create_task(queue.submit(job(1, seconds=3.0)))
    await until(lambda: model.calls)
    own.kill()
    with pytest.raises(Late):
        await asked
    model.open.set()
    own.start()
    await until(lambda: not queue.unavailable)
    assert (await queue.submit(job(2))).scores[0] == 4


async def test_a_job_takes_a_gateway_two_round_trips(start, redis_url, tmp_path, monkeypatch):
    monkeypatch.setattr("service.queue.redis_health.CHECK_S", 600.0)
    async with redis_proxied(redis_url, tmp_path) as (proxy, url):
        start()
        queue = start(url, worker=False, max_jobs=100)
        await queue.open()
        # One connection waits for replies; another makes the checks and sends jobs.
        await until(lambda: proxy.connections >= 2)
        for n in range(3):
            before = proxy.round_trips
            assert (await queue.submit(job(n))).scores[0] == 2 * n
            # The job is sent; its reply is followed by the request for the next ones.
            await until(lambda: proxy.round_trips >= before + 2)  # noqa: B023 - asked at once
            assert proxy.round_trips == before + 2
        before = proxy.round_trips
        await asyncio.gather(*(queue.submit(job(n)) for n in range(4)))
        assert proxy.round_trips - before <= 1 + 4  # sent together, answered by one batch or more
        await queue.close()


async def test_closing_ends_without_redis(tmp_path):
    queue = RedisQueue(f"unix://{tmp_path}/none", max_jobs=1)
    opening = asyncio.create_task(queue.open())
    await until(lambda: "unavailable" in queue.unavailable)
    assert not opening.done()
    opening.cancel()
    await queue.close()


async def test_preparing_twice_is_no_error_and_other_errors_are_not_swallowed(
    redis_server, redis_url
):
    client = connect(redis_url)
    try:
        await create_streams(client)
        await create_streams(client)
        assert redis_server.client.xinfo_groups(CLIP_JOBS)[0]["name"] == GROUP.encode()
        redis_server.client.flushall()
        redis_server.client.set(LIVE_JOBS, "not a stream")
        with pytest.raises(Exception, match="WRONGTYPE"):
            await create_streams(client)
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "http://localhost",
        "redis+sentinel://a/b",
        "redis://h:port",
        "redis+cluster://a",
    ],
)
def test_an_invalid_url_is_rejected(url):
    with pytest.raises(Unprocessable, match="Redis address"):
        connect(url)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://me:secret@host:1/2", "redis://host:1/2"),
        ("rediss://:secret@host?password=secret", "rediss://host"),
        ("unix:///tmp/redis.sock", "unix:/tmp/redis.sock"),
        ("redis+sentinel://:secret@a:1,b:2/name", "redis+sentinel://a:1,b:2/name"),
        ("rediss+cluster://me:secret@a:1,b:2?ssl_ca_certs=x", "rediss+cluster://a:1,b:2"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert redacted(url) == shown
    connect(url)
