"""The queue is unavailable without Redis or without a worker, and recovers with them."""

import asyncio

import pytest

from common.errors import Busy
from service.queue import redis_health
from service.queue.redis_connection import connect
from service.queue.redis_keys import API_KEYS
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


async def test_a_restart_from_a_snapshot_is_noticed_though_no_command_fails(own, monkeypatch):
    monkeypatch.setattr(redis_health, "CHECK_S", 0)
    monkeypatch.setattr(redis_health, "RETRY_S", 0)
    redis, checks = connect(own.url), []

    async def resend():
        checks.append(own.process.pid)

    health = redis_health.QueueHealth(
        redis, name="g", where=own.url, versions=tuple, resend=resend, workers=lambda _: None
    )
    await health.step()
    own.client.save()  # with the gateway's key
    await health.step()
    first = own.process.pid
    assert checks == [first]
    own.kill()
    await asyncio.to_thread(own.start)  # the loop sees meanwhile that the connection was closed
    await health.step()
    await health.step()
    assert checks == [first, own.process.pid]
    await redis.aclose()


@pytest.mark.parametrize(
    ("info", "named"),
    [
        ({}, []),
        ({"maxmemory_policy": "noeviction", "aof_last_write_status": "ok"}, []),
        ({"maxmemory_policy": "allkeys-lru"}, ["maxmemory-policy allkeys-lru"]),
        ({"maxmemory_policy": "volatile-ttl"}, ["maxmemory-policy volatile-ttl"]),
        ({"rdb_last_bgsave_status": "err"}, ["rdb_last_bgsave_status"]),
        (
            {"maxmemory_policy": "allkeys-random", "aof_last_write_status": "err"},
            ["maxmemory-policy allkeys-random", "aof_last_write_status"],
        ),
    ],
)
def test_settings_that_may_cost_jobs_or_keys_are_found(info, named):
    found = redis_health.unsafe_settings(info)
    assert len(found) == len(named)
    assert all(why.startswith(name) for why, name in zip(found, named, strict=True))


@pytest.mark.parametrize(
    ("has_keys", "appends", "count"), [(True, 0, 1), (True, 1, 0), (False, 0, 0)]
)
def test_keys_in_a_redis_that_does_not_write_them_down_at_once_are_found(has_keys, appends, count):
    found = redis_health.unsafe_settings({"aof_enabled": appends}, has_keys=has_keys)
    assert len(found) == count
    assert all("appendonly" in why for why in found)


async def test_a_gateway_says_so_of_keys_that_are_there(own, start, capfd):
    own.client.hset(API_KEYS, "id", "{}")
    await start(own.url).open()
    assert "appendonly" in capfd.readouterr().err


async def test_an_unsafe_setting_is_logged_at_each_connection_and_stops_nothing(own, start, capfd):
    own.client.config_set("maxmemory-policy", "allkeys-lru")
    queue = start(own.url)
    await queue.open()
    line = "Redis settings unsafe"
    assert capfd.readouterr().err.count(line) == 1
    own.kill()
    await until(lambda: queue.unavailable)
    own.start()
    await until(lambda: not queue.unavailable)
    assert line not in capfd.readouterr().err  # it has started with its own setting again


async def test_a_user_that_may_not_ask_for_the_settings_is_told_and_served(own, start, capfd):
    own.client.acl_setuser(
        "poor", enabled=True, passwords=["+x"], keys=["{timbre}:*"],
        categories=["+@all"], commands=["-info"],
    )  # fmt: skip
    queue = start(own.url.replace("unix://", "unix://poor:x@"))
    await queue.open()
    assert (await queue.submit(job(1))).scores[0] == 2
    assert "Redis settings not checked" in capfd.readouterr().err
