"""The contract of `JobConsumer`, the worker's side of every queue."""

import asyncio

import numpy as np
import pytest

from common.errors import Failed, Late, Unprocessable
from service.queue import redis_consumer
from service.queue.base import Reply
from service.queue.redis import RedisQueue
from service.queue.redis_consumer import RedisConsumer
from tests.service.conftest import until
from tests.service.helpers.claims import expire_claims
from tests.service.queue.test_contract import MS, job


class RedisBackend:
    """The two classes of a back end, and what tests need besides."""

    def __init__(self, server, url):
        self._client = server.client
        self._url = url

    def queue(self):
        return RedisQueue(self._url, max_jobs=20)

    def consumer(self, name):
        return RedisConsumer(self._url, name=name)

    def unreachable_consumer(self):
        return RedisConsumer(f"{self._url}.none", name="w")

    def settled(self, queue, count):
        """Whether that many jobs are pending or claimed, and all cancelled ones are removed."""
        return len(queue._sender._sent) == count and not queue._sender._withdrawn

    def expire_claims(self, name):
        """Let the heartbeats of a consumer expire."""
        expire_claims(self._client, name)


@pytest.fixture(params=["redis"])
def backend(request, monkeypatch):
    monkeypatch.setattr(redis_consumer, "RECLAIM_MS", 600_000)  # however slow the machine
    server, url = request.getfixturevalue("redis_server"), request.getfixturevalue("redis_url")
    return RedisBackend(server, url)


@pytest.fixture
async def consumer(backend):
    """Make consumers that have opened."""
    made = []

    async def make(name="w"):
        made.append(backend.consumer(name))
        await made[-1].open()
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
async def submit(backend):
    """Submit jobs one after the other; the tasks end with their results."""
    queue, tasks = backend.queue(), []
    opening = asyncio.create_task(queue.open())
    await until(lambda: "not been reached" not in queue.unavailable)

    async def start(*jobs):
        for each in jobs:
            tasks.append(asyncio.create_task(queue.submit(each)))
            await until(lambda: backend.settled(queue, sum(not task.done() for task in tasks)))
        return tasks[-len(jobs) :]

    start.queue = queue
    yield start
    for each in (*tasks, opening):
        each.cancel()
    await asyncio.gather(*tasks, opening, return_exceptions=True)
    await queue.close()


def ids(claimed):
    return [each.job.id for each in claimed]


def reply(claimed, result=None):
    return Reply(claimed.job.id, np.ones(2, np.float32) if result is None else result, 1.0)


async def test_a_job_submitted_before_the_first_worker_is_not_lost(submit, consumer):
    await submit(job(1))
    assert ids(await (await consumer()).claim(4, wait_s=0)) == ["1"]


async def test_live_jobs_come_first_and_clips_wait_while_there_are_many(submit, consumer):
    jobs = await consumer()
    await submit(job(1, live=False), job(2, live=False), job(3))
    assert ids(await jobs.claim(4, wait_s=0)) == ["3", "1", "2"]
    await submit(job(4, live=False), *(job(n) for n in range(5, 10)))
    assert ids(await jobs.claim(2, wait_s=0)) == ["5", "6", "4"]
    await submit(job(10, live=False))
    assert ids(await jobs.claim(2, wait_s=0)) == ["7", "8"]
    assert ids(await jobs.claim(2, wait_s=0)) == ["9"]
    assert ids(await jobs.claim(2, wait_s=0)) == ["10"]


async def test_a_claim_waits_for_the_first_job_but_not_for_ever(submit, consumer):
    jobs = await consumer()
    assert await jobs.claim(4, wait_s=20 * MS) == []
    claiming = asyncio.create_task(jobs.claim(4, wait_s=30))
    await submit(job(1))
    assert ids(await claiming) == ["1"]


async def test_a_claimed_job_is_the_one_that_was_submitted(submit, consumer):
    jobs = await consumer()
    submitted = job(1, live=False, stream="clip", size=3)
    await submit(submitted)
    (claimed,) = await jobs.claim(1, wait_s=0)
    assert (claimed.job.model, claimed.job.version, claimed.job.stream, claimed.job.live) == (
        "doubler", "1", "clip", False,
    )  # fmt: skip
    np.testing.assert_array_equal(claimed.job.tensor, submitted.tensor)
    assert claimed.job.deadline == pytest.approx(submitted.deadline, abs=0.5)


async def test_a_completed_job_gives_its_result_and_is_removed(submit, consumer, backend):
    jobs = await consumer()
    one, other = await submit(job(1), job(2, live=False))
    claimed = await jobs.claim(4, wait_s=0)
    await jobs.complete(claimed, [reply(claimed[0]), reply(claimed[1], Unprocessable("NaN"))])
    result = await one
    assert (result.job_id, result.scores.tolist(), result.model_ms) == ("1", [1.0, 1.0], 1.0)
    with pytest.raises(Unprocessable, match="NaN"):
        await other
    backend.expire_claims("w")
    assert await jobs.reclaim() is None
    assert await jobs.claim(4, wait_s=0) == []


async def test_a_late_job_may_be_completed_without_a_reply(submit, consumer, backend):
    jobs = await consumer()
    (task,) = await submit(job(1, seconds=0.2))
    await jobs.complete(await jobs.claim(1, wait_s=0), [])
    with pytest.raises(Late):
        await task
    backend.expire_claims("w")
    assert await jobs.reclaim() is None


async def test_a_job_of_a_silent_worker_is_reclaimed_once(submit, consumer, backend):
    first, second = await consumer("first"), await consumer("second")
    (task,) = await submit(job(1))
    await first.claim(1, wait_s=0)
    assert await second.reclaim() is None
    backend.expire_claims("first")
    claimed = await second.reclaim()
    assert ids([claimed]) == ["1"]
    assert await second.reclaim() is None
    await second.complete([claimed], [reply(claimed)])
    assert (await task).scores.tolist() == [1, 1]


async def test_maintenance_reclaims_one_job_as_reclaim_does(submit, consumer, backend):
    first, second = await consumer("first"), await consumer("second")
    await submit(job(1), job(2, live=False))
    await first.claim(4, wait_s=0)
    assert (await second.maintain(())).reclaimed is None
    backend.expire_claims("first")
    assert ids([(await second.maintain(())).reclaimed]) == ["1"]
    assert ids([await second.reclaim()]) == ["2"]
    assert (await second.maintain(())).reclaimed is None


async def test_a_heartbeat_extends_claims_and_counts_no_attempt(submit, consumer, backend):
    first, second = await consumer("first"), await consumer("second")
    await submit(job(1))
    claimed = await first.claim(1, wait_s=0)
    for _ in range(5):
        backend.expire_claims("first")
        await first.heartbeat(claimed)
        assert await second.reclaim() is None
    backend.expire_claims("first")
    assert ids([await second.reclaim()]) == ["1"]


async def test_a_job_of_a_silent_worker_is_found_among_many_that_are_running(
    submit, consumer, backend
):
    dead, busy, third = await consumer("dead"), await consumer("busy"), await consumer("third")
    await submit(job(99, live=False))
    await dead.claim(1, wait_s=0)
    await submit(*(job(n) for n in range(10)))
    await busy.claim(10, wait_s=0)
    backend.expire_claims("dead")
    assert ids([await third.reclaim()]) == ["99"]


async def test_after_three_attempts_a_job_fails_and_others_of_its_batch_do_not(
    submit, consumer, backend
):
    jobs = await consumer()
    poison, _ = await submit(job(1), job(2))
    await jobs.claim(2, wait_s=0)
    for _ in range(2):
        backend.expire_claims("w")
        assert ids([await jobs.reclaim()]) == ["1"]
    backend.expire_claims("w")
    # The other job was claimed once and never reclaimed, so it has attempts left.
    assert ids([await jobs.reclaim()]) == ["2"]
    with pytest.raises(Failed, match="3 workers"):
        await poison


async def test_a_cancelled_job_is_neither_claimed_nor_reclaimed(submit, consumer, backend):
    first, second = await consumer("first"), await consumer("second")
    running, pending = await submit(job(1), job(2))
    assert ids(await first.claim(1, wait_s=0)) == ["1"]
    for task in (running, pending):
        task.cancel()
    await until(lambda: backend.settled(submit.queue, 0))
    (marker,) = await submit(job(3))
    claimed = await second.claim(4, wait_s=0)
    assert ids(claimed) == ["3"]
    backend.expire_claims("first")
    assert await second.reclaim() is None
    await second.complete(claimed, [reply(claimed[0])])
    await marker


async def test_a_closed_worker_is_not_live_and_its_claims_are_reclaimed(submit, consumer, backend):
    first = await consumer("first")
    await submit.queue.open()
    await submit(job(1))
    await first.claim(1, wait_s=0)
    await first.close()
    await until(lambda: "no worker" in submit.queue.unavailable)
    second = await consumer("second")
    backend.expire_claims("first")
    assert ids([await second.reclaim()]) == ["1"]
    await submit.queue.open()


async def test_versions_are_requested_by_the_gateway_and_reported_by_the_worker(submit, consumer):
    jobs = await consumer()
    assert (await jobs.maintain(["toy:1"])).requested == set()
    preparing = asyncio.create_task(submit.queue.prepare("toy", "2"))
    async with asyncio.timeout(120):
        while (await jobs.maintain(["toy:1"])).requested != {"toy:2"}:
            pass
    assert not preparing.done()
    await jobs.maintain(["toy:1", "toy:2"])
    await preparing


async def test_opening_twice_is_no_error(submit, consumer):
    jobs = await consumer()
    await submit(job(1))
    await jobs.open()
    assert ids(await jobs.claim(1, wait_s=0)) == ["1"]


async def test_an_unreachable_back_end_raises_on_open_and_not_on_close(backend):
    jobs = backend.unreachable_consumer()
    for call in (jobs.open(), jobs.claim(1, wait_s=0), jobs.heartbeat([]), jobs.reclaim()):
        with pytest.raises(jobs.connection_errors):
            await call
    await jobs.close()
