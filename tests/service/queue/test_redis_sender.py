"""Jobs are sent while there is room, sent again if Redis lost them, rejected if it is full."""

import asyncio
import time

import pytest

from common.errors import Busy, Late
from service.queue.redis_keys import CLIP_JOBS, LIVE_JOBS
from tests.service.conftest import until
from tests.service.queue.test_contract import Doubler, job


async def test_the_bound_holds_for_all_gateways_together(start):
    model = Doubler()
    one, other = start(model=model), start(worker=False)
    await asyncio.gather(one.open(), other.open())
    model.open.clear()
    tasks = [asyncio.create_task(one.submit(job(n))) for n in range(6)]
    await until(lambda: len(one._sender._sent) == 6)
    with pytest.raises(Busy, match="6 jobs are pending"):
        await other.submit(job(7))
    model.open.set()
    await asyncio.gather(*tasks)


async def test_jobs_that_redis_lost_are_sent_again(own, start):
    model = Doubler()
    queue = start(own.url, model=model)
    await queue.open()
    model.open.clear()
    asked = [asyncio.create_task(queue.submit(job(n))) for n in range(6)]
    await until(lambda: model.calls and len(queue._sender._sent) == 6)
    own.kill()
    own.start()
    model.open.set()
    assert [answer.scores[0] for answer in await asyncio.gather(*asked)] == [
        2 * n for n in range(6)
    ]


async def test_full_memory_rejects_jobs_and_the_queue_recovers(own, start):
    queue = start(own.url)
    await queue.open()
    own.client.config_set("maxmemory", 1)
    asked = [queue.submit(job(n, live=live)) for n, live in enumerate((True, False))]
    for error in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(error, Busy)
        assert "unavailable" in str(error)
    assert queue.unavailable
    await asyncio.sleep(1.5)
    assert queue.unavailable
    own.client.config_set("maxmemory", 0)
    await until(lambda: not queue.unavailable)
    assert (await queue.submit(job(2))).scores[0] == 4


@pytest.mark.parametrize(("seconds", "admitted"), [(30.0, True), (2.0, False)])
async def test_a_clip_that_would_wait_past_its_deadline_is_rejected_at_once(
    start, seconds, admitted
):
    model = Doubler()
    queue = start(model=model, max_jobs=100)
    await queue.open()
    for ahead in range(50):  # each job ahead adds a second
        queue._sender._waits.record(ahead=ahead, wait_s=0.1 + ahead)
    model.open.clear()
    tasks = [asyncio.create_task(queue.submit(job(n, live=False))) for n in range(9)]
    await until(lambda: len(queue._sender._sent) == 9)
    live = asyncio.create_task(queue.submit(job(9, seconds=60.0)))
    last = asyncio.create_task(queue.submit(job(10, live=False, seconds=seconds)))
    if admitted:
        await until(lambda: len(queue._sender._sent) == 11)
    else:
        with pytest.raises(
            Busy, match=r"9 jobs are pending: the wait would be about 9 s, and \d s are left"
        ) as caught:
            await last
        assert caught.value.retry_after >= 8
    model.open.set()
    await asyncio.gather(live, *tasks, *([last] if admitted else []))


async def test_the_wait_of_clips_is_learnt_from_replies_and_from_late_jobs(start):
    model = Doubler()
    queue = start(model=model, max_jobs=100)
    await queue.open()
    waits = queue._sender._waits
    await asyncio.gather(*(queue.submit(job(n)) for n in range(8)))
    assert waits.most_ahead(1.0) is None  # live jobs say nothing
    await asyncio.gather(*(queue.submit(job(n, live=False)) for n in range(8)))
    assert waits.most_ahead(1.0) is not None
    model.open.clear()
    before = waits.seconds(100)
    tasks = [asyncio.create_task(queue.submit(job(n, live=False, seconds=0.5))) for n in range(4)]
    for error in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(error, Late)
    assert waits.seconds(100) > before
    tasks = [asyncio.create_task(queue.submit(job(n, live=False))) for n in range(4)]
    await until(lambda: len(queue._sender._sent) == 4)
    after = waits.seconds(100)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert waits.seconds(100) == after  # a client that left says nothing either
    model.open.set()


async def test_each_job_ends_once_and_runs_once_at_most_however_slow_the_worker_is(
    start, redis_server
):
    ran = []

    class Slow:
        def predict(self, batch):
            ran.extend(map(int, batch[:, 0]))
            time.sleep(0.01 * len(batch))
            return batch * 2

    queue = start(model=Slow(), max_jobs=1_000)
    await queue.open()
    jobs = [
        job(n, live=n % 2 == 0, seconds=0.3 + n % 7 / 20, stream=f"s{n % 3}") for n in range(200)
    ]
    outcomes = await asyncio.gather(*map(queue.submit, jobs), return_exceptions=True)
    for submitted, outcome in zip(jobs, outcomes, strict=True):
        if isinstance(outcome, Exception):
            assert isinstance(outcome, Late | Busy)
        else:
            assert outcome.scores[0] == 2 * int(submitted.id)
    assert len(set(ran)) == len(ran)  # none ran twice
    client = redis_server.client
    await until(lambda: client.xlen(LIVE_JOBS) == client.xlen(CLIP_JOBS) == 0)
    assert queue.depth == 0
