"""The queue is unavailable without Redis or without a worker, and recovers with them."""

import asyncio

import pytest

from common.errors import Busy
from service.queue import redis_health
from service.queue.redis_connection import connect
from tests.service.conftest import until
from tests.service.helpers.redis_proxy import redis_proxied
from tests.service.queue.test_contract import job


async def test_without_a_worker_the_queue_is_unhealthy_until_one_starts(start, redis_url):
    queue = start(worker=False)
    opening = asyncio.create_task(queue.open())
    await until(lambda: "no worker" in queue.unavailable)
    assert not opening.done()
    waiting = asyncio.create_task(queue.submit(job(1)))
    start()
    await opening
    assert (await waiting).scores[0] == 2
    assert not queue.unavailable


async def test_a_lost_redis_is_reported_at_once_and_the_queue_recovers_with_it(own, start):
    queue = start(own.url)
    await queue.open()
    assert (await queue.submit(job(1))).scores[0] == 2
    own.kill()
    await until(lambda: queue.unavailable)
    with pytest.raises(Busy, match="unavailable"):
        await queue.submit(job(2))
    own.start()  # and it has forgotten everything
    await until(lambda: not queue.unavailable)
    assert (await queue.submit(job(3))).scores[0] == 6


async def test_a_check_of_a_gateway_is_one_round_trip(redis_url, tmp_path, monkeypatch):
    monkeypatch.setattr(redis_health, "CHECK_S", 0)
    monkeypatch.setattr(redis_health, "RETRY_S", 0)
    async with redis_proxied(redis_url, tmp_path) as (proxy, url):
        redis, resent = connect(url), []

        async def resend():
            resent.append(proxy.round_trips)

        workers = []
        health = redis_health.QueueHealth(
            redis,
            name="g",
            where=url,
            versions=lambda: ["toy:1", "toy:2"],
            resend=resend,
            workers=workers.append,
        )
        await health.step()
        assert len(resent) == 1
        before = proxy.round_trips
        await health.step()
        assert proxy.round_trips == before + 1
        assert len(resent) == 1
        assert set(workers) == {0}
        await redis.aclose()
