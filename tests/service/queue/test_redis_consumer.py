"""The worker's side of the Redis queue: keys it writes, and dead letters."""

import time

import numpy as np
import pytest
import redis

from service.queue import redis_consumer
from service.queue.base import Job, Reply
from service.queue.codec import decode_replies, encode_job
from service.queue.redis_consumer import RedisConsumer
from service.queue.redis_keys import (
    CLIP_JOBS,
    DEAD_LETTERS,
    GROUP,
    JOB_STREAMS,
    LIVE_JOBS,
    REPLIES,
    WORKERS,
)
from tests.service.helpers.claims import expire_claims
from tests.service.helpers.redis_proxy import redis_proxied

MS = 1e-3


@pytest.fixture
async def worker(redis_url, monkeypatch):
    """Make workers that have opened."""
    monkeypatch.setattr(redis_consumer, "RECLAIM_MS", 600_000)  # however slow the machine
    made = []

    async def make(name="w"):
        made.append(RedisConsumer(redis_url, name=name))
        await made[-1].open()
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
def client(redis_server, redis_url):
    return redis_server.client


def put(client, name, *, live=True, seconds=5.0, entry="*"):
    tensor = np.zeros(2, np.float32)
    job = Job(
        id=name, model="m", version="1", tensor=tensor, deadline=seconds, live=live, stream="s"
    )
    key = LIVE_JOBS if live else CLIP_JOBS
    return client.xadd(key, {"job": encode_job(job, reply_to="g", now=0.0)}, id=entry)


def ids(claimed):
    return [each.job.id for each in claimed]


def replies(client):
    return [
        reply
        for _, fields in client.xrange(REPLIES + "g")
        for reply in decode_replies(fields[b"answers"])
    ]


async def test_a_deadline_counts_from_the_time_the_job_was_added(client, worker):
    jobs = await worker()
    before = time.monotonic()
    put(client, "a", seconds=9_000.0, entry=f"{1_000 * (client.time()[0] - 4_000)}-0")
    (claimed,) = await jobs.claim(1, wait_s=0)
    # Redis gave the time in whole seconds.
    assert before + 4_998 < claimed.job.deadline < time.monotonic() + 5_000


async def test_a_reply_removes_the_job_and_expires(client, worker):
    jobs = await worker()
    for name in ("a", "b"):
        put(client, name, live=name == "a")
    claimed = await jobs.claim(4, wait_s=0)
    await jobs.complete(claimed, [Reply(name, np.ones(2, np.float32), 1.0) for name in ("a", "b")])
    assert [reply.job_id for reply in replies(client)] == ["a", "b"]
    assert 0 < client.pttl(REPLIES + "g") <= redis_consumer.REPLIES_MS
    for key in JOB_STREAMS:
        assert client.xlen(key) == client.xpending(key, GROUP)["pending"] == 0


async def test_when_redis_rejects_a_reply_the_job_stays(client, worker):
    jobs = await worker()
    put(client, "a")
    claimed = await jobs.claim(1, wait_s=0)
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.RedisError):
        await jobs.complete(claimed, [Reply("a", np.ones(2, np.float32), 1.0)])
    client.config_set("maxmemory", 0)
    assert (client.xlen(LIVE_JOBS), client.xpending(LIVE_JOBS, GROUP)["pending"]) == (1, 1)


async def test_a_job_that_crashed_three_workers_becomes_a_dead_letter(client, worker):
    jobs = await worker()
    entry = put(client, "poison")
    await jobs.claim(1, wait_s=0)
    for expected in (["poison"], ["poison"], []):
        expire_claims(client, "w")
        assert ids(filter(None, [await jobs.reclaim()])) == expected
    ((_, letter),) = client.xrange(DEAD_LETTERS)
    assert (letter[b"entry"], letter[b"stream"]) == (entry, LIVE_JOBS.encode())
    assert letter[b"why"] == b"3 workers died while running it"
    assert client.xlen(LIVE_JOBS) == 0


@pytest.mark.parametrize("fields", [{"job": b"junk"}, {"other": b""}])
async def test_an_invalid_entry_becomes_a_dead_letter_at_once_and_disturbs_no_job(
    client, worker, fields
):
    jobs = await worker()
    client.xadd(LIVE_JOBS, fields)
    put(client, "a")
    claimed = await jobs.claim(4, wait_s=0)
    assert ids(claimed) == ["a"]
    await jobs.complete(claimed, [])
    assert (client.xlen(DEAD_LETTERS), client.xlen(LIVE_JOBS)) == (1, 0)
    assert client.xpending(LIVE_JOBS, GROUP)["pending"] == 0


async def test_a_worker_is_registered_until_it_closes(client, worker):
    jobs = await worker()
    assert client.zrange(WORKERS, 0, -1) == [b"w"]
    put(client, "a")
    await jobs.complete(await jobs.claim(1, wait_s=0), [])
    await jobs.close()
    assert client.zcard(WORKERS) == 0
    assert client.xinfo_consumers(LIVE_JOBS, GROUP) == []


async def test_a_worker_without_heartbeats_for_long_is_removed(client, worker):
    gone, jobs = await worker("gone"), await worker()
    put(client, "a")
    await gone.complete(await gone.claim(1, wait_s=0), [])
    client.zadd(WORKERS, {"gone": client.time()[0] - redis_consumer.UNREGISTER_AFTER_S - 1})
    await jobs.maintain(())
    assert client.zrange(WORKERS, 0, -1) == [b"w"]
    assert client.xinfo_consumers(LIVE_JOBS, GROUP) == []


async def test_each_call_of_a_worker_is_one_round_trip(client, redis_url, tmp_path):
    async with redis_proxied(redis_url, tmp_path) as (proxy, url):
        jobs = RedisConsumer(url, name="w")
        await jobs.open()
        for name in ("a", "b", "c"):
            put(client, name, live=name == "a")
        for seconds in (0, 2**40):  # two workers that are none
            client.zadd(WORKERS, {f"gone{seconds}": seconds})

        async def round_trips(call):
            before = proxy.round_trips
            result = await call
            return proxy.round_trips - before, result

        spent, claimed = await round_trips(jobs.claim(4, wait_s=1))
        assert (spent, ids(claimed)) == (1, ["a", "b", "c"])
        assert (await round_trips(jobs.heartbeat(claimed)))[0] == 1
        expire_claims(client, "w")
        assert (await round_trips(jobs.maintain(["m:1"])))[0] == 2  # one to unregister both
        assert (await round_trips(jobs.maintain(["m:1"])))[0] == 1
        assert (await round_trips(jobs.reclaim()))[0] == 1
        done = [Reply(name, np.ones(2, np.float32), 1.0) for name in ("a", "b", "c")]
        assert (await round_trips(jobs.complete(claimed, done)))[0] == 1
        assert client.zrange(WORKERS, 0, -1) == [b"w"]
        await jobs.close()
