"""The workers' side: jobs are taken in order, kept, answered all or nothing, taken over, and buried."""

import asyncio
import time

import numpy as np
import pytest
import redis

from common.errors import Failed
from service.queue import redis_consumer
from service.queue.base import Job, Reply
from service.queue.codec import decode_replies, encode_job
from service.queue.redis_connection import heartbeat_ages
from service.queue.redis_consumer import RedisConsumer
from service.queue.redis_keys import CLIP_JOBS, DEAD_LETTERS, GROUP, LIVE_JOBS, REPLIES, WORKERS

MS = 1e-3


@pytest.fixture
async def worker(redis_url):
    """Make workers that have opened."""
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


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(redis_consumer, "RECLAIM_MS", 30)


def put(client, name, *, live=True, seconds=5.0, stream=None):
    tensor = np.zeros(2, np.float32)
    job = Job(
        id=name, model="m", version="1", tensor=tensor, deadline=seconds, live=live, stream="s"
    )
    return client.xadd(
        stream or (LIVE_JOBS if live else CLIP_JOBS),
        {"job": encode_job(job, reply_to="g", now=0.0)},
    )


def names(claimed):
    return [each.job.id for each in claimed]


def answers(client):
    return [
        reply
        for _, fields in client.xrange(REPLIES + "g")
        for reply in decode_replies(fields[b"answers"])
    ]


async def test_a_job_added_before_the_first_worker_is_not_lost(client, worker):
    put(client, "a")
    jobs = await worker()
    assert names(await jobs.claim(4, wait_s=0)) == ["a"]


async def test_live_jobs_come_first_and_a_crowd_of_them_leaves_clips_waiting(client, worker):
    jobs = await worker()
    for n in range(2):
        put(client, f"clip{n}", live=False)
    put(client, "live0")
    assert names(await jobs.claim(4, wait_s=0)) == ["live0", "clip0", "clip1"]
    put(client, "clip2", live=False)
    for n in range(1, 6):
        put(client, f"live{n}")
    assert names(await jobs.claim(2, wait_s=0)) == ["live1", "live2", "clip2"]
    put(client, "clip3", live=False)
    assert names(await jobs.claim(2, wait_s=0)) == ["live3", "live4"]
    assert names(await jobs.claim(2, wait_s=0)) == ["live5"]
    assert names(await jobs.claim(2, wait_s=0)) == ["clip3"]


async def test_taking_waits_for_the_first_job_and_no_longer_than_told(client, worker):
    jobs = await worker()
    begin = time.monotonic()
    assert await jobs.claim(4, wait_s=50 * MS) == []
    assert 40 * MS < time.monotonic() - begin < 1
    taking = asyncio.create_task(jobs.claim(4, wait_s=5))
    await asyncio.sleep(20 * MS)
    put(client, "a")
    assert names(await taking) == ["a"]


async def test_a_deadline_is_counted_from_the_time_the_job_was_put_there(client, worker):
    put(client, "a", seconds=1.0)
    await asyncio.sleep(100 * MS)
    jobs = await worker()
    (taken,) = await jobs.claim(1, wait_s=0)
    assert taken.job.deadline - time.monotonic() == pytest.approx(0.9, abs=0.05)


async def test_an_answer_removes_the_job_and_expires(client, worker):
    jobs = await worker()
    for name in ("a", "b"):
        put(client, name, live=name == "a")
    taken = await jobs.claim(4, wait_s=0)
    await jobs.complete(taken, [Reply(name, np.ones(2, np.float32), 1.0) for name in ("a", "b")])
    assert [reply.job_id for reply in answers(client)] == ["a", "b"]
    assert 0 < client.pttl(REPLIES + "g") <= redis_consumer.REPLIES_MS
    for stream in (LIVE_JOBS, CLIP_JOBS):
        assert client.xlen(stream) == client.xpending(stream, GROUP)["pending"] == 0


async def test_when_redis_takes_no_answer_the_job_stays(client, worker):
    jobs = await worker()
    put(client, "a")
    taken = await jobs.claim(1, wait_s=0)
    client.config_set("maxmemory", 1)
    with pytest.raises(redis.RedisError):
        await jobs.complete(taken, [Reply("a", np.ones(2, np.float32), 1.0)])
    client.config_set("maxmemory", 0)
    assert (client.xlen(LIVE_JOBS), client.xpending(LIVE_JOBS, GROUP)["pending"]) == (1, 1)


async def test_a_silent_workers_job_is_taken_over_once(client, worker):
    first, second = await worker("first"), await worker("second")
    put(client, "a")
    assert names(await first.claim(1, wait_s=0)) == ["a"]
    assert await second.reclaim() is None
    await asyncio.sleep(50 * MS)
    claimed = await second.reclaim()
    assert names([claimed]) == ["a"]
    assert await second.reclaim() is None
    await second.complete([claimed], [Reply("a", np.ones(2, np.float32), 1.0)])
    assert client.xlen(LIVE_JOBS) == 0


async def test_a_worker_that_shows_it_lives_keeps_its_jobs_and_wears_none_out(client, worker):
    first, second = await worker("first"), await worker("second")
    put(client, "a")
    held = await first.claim(1, wait_s=0)
    for _ in range(5):
        await asyncio.sleep(15 * MS)
        await first.heartbeat(held)
        assert await second.reclaim() is None
    (pending,) = client.xpending_range(LIVE_JOBS, GROUP, "-", "+", 1)
    assert (pending["consumer"], pending["times_delivered"]) == (b"first", 1)


async def test_jobs_are_found_among_many_that_are_being_worked_on(client, worker):
    first, second, third = await worker("first"), await worker("second"), await worker("third")
    put(client, "lost", live=False)
    await first.claim(1, wait_s=0)
    await asyncio.sleep(50 * MS)
    for n in range(50):
        put(client, str(n))
    await second.claim(50, wait_s=0)
    assert names([await third.reclaim()]) == ["lost"]


async def test_after_three_attempts_a_job_is_buried_and_its_waiter_told(client, worker):
    jobs = await worker()
    entry = put(client, "poison")
    put(client, "good")
    await jobs.claim(2, wait_s=0)
    for _ in range(2):
        await asyncio.sleep(50 * MS)
        assert names([await jobs.reclaim()]) == ["poison"]
    await asyncio.sleep(50 * MS)
    # The other one was never run, so it is none the worse.
    assert names([await jobs.reclaim()]) == ["good"]
    (reply,) = answers(client)
    assert (reply.job_id, type(reply.result)) == ("poison", Failed)
    assert "3 workers" in str(reply.result)
    ((_, letter),) = client.xrange(DEAD_LETTERS)
    assert (letter[b"entry"], letter[b"stream"]) == (entry, LIVE_JOBS.encode())
    assert client.xlen(LIVE_JOBS) == 1


@pytest.mark.parametrize("fields", [{"job": b"junk"}, {"other": b""}])
async def test_what_is_no_job_is_buried_at_once_and_disturbs_nobody(client, worker, fields):
    jobs = await worker()
    client.xadd(LIVE_JOBS, fields)
    put(client, "a")
    taken = await jobs.claim(4, wait_s=0)
    assert names(taken) == ["a"]
    await jobs.complete(taken, [])
    assert (client.xlen(DEAD_LETTERS), client.xlen(LIVE_JOBS)) == (1, 0)
    assert client.xpending(LIVE_JOBS, GROUP)["pending"] == 0


async def test_a_withdrawn_job_is_not_taken_over(client, worker):
    first, second = await worker("first"), await worker("second")
    entry = put(client, "a")
    await first.claim(1, wait_s=0)
    client.xdel(LIVE_JOBS, entry)
    await asyncio.sleep(50 * MS)
    assert await second.reclaim() is None


async def test_a_worker_is_seen_while_it_lives_and_leaves_no_trace(client, worker):
    jobs = await worker()
    ago = await heartbeat_ages(jobs._redis)
    assert 0 <= ago["w"] < 1
    put(client, "a")
    await jobs.complete(await jobs.claim(1, wait_s=0), [])
    await jobs.close()
    assert client.zcard(WORKERS) == 0
    assert client.xinfo_consumers(LIVE_JOBS, GROUP) == []


async def test_a_worker_that_leaves_jobs_behind_stays_on_the_books_until_they_are_done(
    client, worker
):
    first, second = await worker("first"), await worker("second")
    put(client, "a")
    await first.claim(1, wait_s=0)
    await first.close()
    await asyncio.sleep(50 * MS)
    assert names([await second.reclaim()]) == ["a"]


async def test_those_long_gone_are_struck_off(client, worker, monkeypatch):
    gone, jobs = await worker("gone"), await worker()
    put(client, "a")
    await gone.complete(await gone.claim(1, wait_s=0), [])
    monkeypatch.setattr(redis_consumer, "FORGET_S", 0.05)
    await asyncio.sleep(100 * MS)
    await jobs.heartbeat([])
    await jobs.remove_dead_workers()
    assert client.zrange(WORKERS, 0, -1) == [b"w"]
    assert client.xinfo_consumers(LIVE_JOBS, GROUP) == []
