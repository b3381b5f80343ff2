"""The contract of every queue, local or Redis: one result or one error for each job."""

import asyncio
import threading
import time

import numpy as np
import pytest

from common.errors import Busy, Late, Leaving, TimbreError
from service.queue.base import Job
from service.queue.local import LocalQueue
from service.queue.redis import RedisQueue
from service.queue.redis_consumer import RedisConsumer
from service.queue.redis_keys import CLIP_JOBS, LIVE_JOBS
from service.server.worker import Worker
from tests.service.conftest import until

MS = 1e-3
MAX_BYTES = 4_000


class Doubler:
    """A model that doubles its input when the test lets it."""

    def __init__(self):
        self.open = threading.Event()
        self.open.set()
        self.calls = 0
        self.batches = []

    def predict(self, batch):
        self.calls += 1
        self.open.wait(60)
        self.batches.append(batch[:, 0].tolist())
        if (batch < 0).any():
            raise ArithmeticError("negative")
        return batch * 2


@pytest.fixture
def model():
    return Doubler()


@pytest.fixture(params=["local", "redis"])
async def queue(request, model):
    if request.param == "local":
        queue = LocalQueue(
            lambda name, version: model, max_batch=4, max_jobs=6, max_job_bytes=MAX_BYTES
        )
        await queue.open()
        queue.waiting = lambda: queue.depth
        yield queue
        model.open.set()
        await queue.close()
        return
    url = request.getfixturevalue("redis_url")
    worker = Worker(
        RedisConsumer(url, name="w"),
        lambda name, version: model,
        max_batch=4,
        heartbeat=lambda: None,
    )
    working = asyncio.create_task(worker.run())
    queue = RedisQueue(url, max_jobs=6, max_job_bytes=MAX_BYTES)
    await queue.open()
    client = request.getfixturevalue("redis_server").client
    queue.waiting = lambda: client.xlen(LIVE_JOBS) + client.xlen(CLIP_JOBS)
    yield queue
    model.open.set()
    await queue.close()
    worker.shut_down()
    await working


def job(number, *, seconds=60.0, live=True, stream="s", size=1):
    return Job(
        id=str(number),
        model="doubler",
        version="1",
        tensor=np.full(size, number, np.float32),
        deadline=time.monotonic() + seconds,
        live=live,
        stream=stream,
    )


async def hold(model, queue):
    """Keep the model busy with job 0, so that later jobs are pending."""
    model.open.clear()
    held = asyncio.create_task(queue.submit(job(0)))
    await until(lambda: model.calls)
    return held


async def ask_all(queue, jobs):
    """Submit jobs one after the other, each when the one before is pending or rejected."""
    tasks = []
    for each in jobs:
        before = queue.depth
        tasks.append(task := asyncio.create_task(queue.submit(each)))
        await until(lambda task=task, before=before: task.done() or queue.depth > before)
    await until(lambda: queue.waiting() == queue.depth)
    return tasks


async def test_a_result_has_its_scores_and_its_times(queue):
    answer = await queue.submit(job(3))
    assert (answer.job_id, answer.scores.tolist()) == ("3", [6.0])
    assert answer.queue_ms >= 0
    assert answer.model_ms > 0


async def test_pending_jobs_are_batched_and_each_gets_its_own_result(model, queue):
    held = await hold(model, queue)
    tasks = await ask_all(queue, [job(n, stream=f"s{n}") for n in range(1, 6)])
    assert queue.depth - 5 in (0, 1)  # in Redis, the one that runs is counted as well
    model.open.set()
    answers = await asyncio.gather(held, *tasks)
    assert [answer.scores[0] for answer in answers] == [0, 2, 4, 6, 8, 10]
    assert model.batches == [[0], [1, 2, 3, 4], [5]]
    assert queue.depth == 0


async def test_live_jobs_run_before_clips(model, queue):
    held = await hold(model, queue)
    clips = await ask_all(queue, [job(n, live=False, stream="clip") for n in (1, 2, 3)])
    lives = await ask_all(queue, [job(n) for n in (4, 5)])
    model.open.set()
    await asyncio.gather(held, *clips, *lives)
    assert model.batches[1] == [4, 5, 1, 2]


async def test_a_full_queue_rejects_at_once_and_counts_live_and_clips_apart(model, queue):
    held = await hold(model, queue)
    tasks = await ask_all(queue, [job(n, stream=f"s{n}") for n in range(1, 10)])
    refused = [task for task in tasks if task.done()]
    assert 9 - len(refused) in (5, 6)  # in Redis, the one that runs counts
    for task in refused:
        with pytest.raises(Busy, match="6 jobs"):
            await task
    accepted = [task for task in tasks if task not in refused]
    accepted += await ask_all(queue, [job(10, live=False)])
    model.open.set()
    answers = await asyncio.gather(held, *accepted)
    assert len({answer.job_id for answer in answers}) == len(accepted) + 1


@pytest.mark.parametrize(("size", "good"), [(500, True), (501, False)])
async def test_the_bound_in_bytes_holds_at_both_sides_and_counts_live_and_clips_apart(
    model, queue, size, good
):
    held = await hold(model, queue)
    begun = 0 if isinstance(queue, LocalQueue) else 4  # bytes of the one that runs
    tasks = await ask_all(
        queue, [job(1, stream="a", size=500 - begun // 4), job(2, stream="b", size=size)]
    )
    assert tasks[1].done() == (not good)
    tasks += await ask_all(queue, [job(3, live=False, stream="c", size=500)])
    model.open.set()
    if not good:
        with pytest.raises(Busy):
            await tasks.pop(1)
    assert [answer.scores.size for answer in await asyncio.gather(held, *tasks)][-1] == 500
    assert (await queue.submit(job(4, size=1_000))).scores.size == 1_000


async def test_a_late_job_ends_in_an_error_and_never_runs(model, queue):
    held = await hold(model, queue)
    with pytest.raises(Late):
        await queue.submit(job(1, seconds=20 * MS))
    with pytest.raises(Late):
        await queue.submit(job(2, seconds=-1))
    assert queue.depth <= 1
    model.open.set()
    await held
    await queue.submit(job(3))
    assert model.batches == [[0], [3]]


async def test_a_hanging_model_does_not_hang_its_callers(model, queue):
    model.open.clear()
    with pytest.raises(Late):
        await queue.submit(job(1, seconds=30 * MS))


async def test_a_cancelled_job_is_withdrawn(model, queue):
    held = await hold(model, queue)
    (task,) = await ask_all(queue, [job(1)])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert queue.depth <= 1
    await until(lambda: queue.waiting() == queue.depth)
    model.open.set()
    await held
    await queue.submit(job(2))
    assert model.batches == [[0], [2]]


async def test_a_job_cancelled_while_the_model_runs_disturbs_no_other(model, queue):
    held = await hold(model, queue)
    held.cancel()
    model.open.set()
    assert (await queue.submit(job(1))).scores[0] == 2


async def test_a_model_that_fails_fails_its_batch_and_the_next_works(queue):
    with pytest.raises((ArithmeticError, TimbreError)):
        await queue.submit(job(-1))
    assert (await queue.submit(job(1))).scores[0] == 2


async def test_closing_finishes_accepted_jobs_and_rejects_new_ones(model, queue):
    held = await hold(model, queue)
    tasks = await ask_all(queue, [job(n) for n in (1, 2, 3, 4, 5)])
    closing = asyncio.create_task(queue.close())
    await asyncio.sleep(0)
    with pytest.raises(Leaving):
        await queue.submit(job(9))
    model.open.set()
    assert len(await asyncio.gather(held, *tasks)) == 6
    await closing


async def test_opening_twice_is_no_error(queue):
    await queue.open()
    assert (await queue.submit(job(1))).scores[0] == 2


async def test_a_healthy_queue_is_available(queue):
    assert not queue.unavailable


async def test_a_clip_waits_for_nothing_in_an_empty_queue(queue):
    assert queue.clip_wait_s("m") == 0
