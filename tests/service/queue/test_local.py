"""The queue in the process under overload: full batches, fair turns, live windows first."""

import asyncio
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from common.errors import Busy, Late
from service.queue import local
from service.queue.base import HANG_S, Job, hung
from service.queue.fair import STALE
from service.queue.local import CONGESTED_S, SMOOTHING, LocalQueue
from tests.service.conftest import until

MS = 1e-3
DEADLINE = 0.4


class Valve:
    """A model that runs a batch each time it is let, and keeps what ran."""

    def __init__(self):
        self.batches = []
        self.begun = 0
        self._permits = threading.Semaphore(0)

    def predict(self, batch):
        self.begun += 1
        self._permits.acquire(timeout=60)
        self.batches.append(batch[:, 0].tolist())
        return batch

    @property
    def rows(self):
        return sum(map(len, self.batches))

    def let(self, batches=1):
        self._permits.release(batches)


def job(number, stream, *, live=True, seconds=60.0, now=None):
    tensor = np.array([number], np.float32)
    return Job(
        id=f"{stream}-{number}", model="m", version="1", tensor=tensor,
        deadline=(time.monotonic() if now is None else now) + seconds, live=live, stream=stream,
    )  # fmt: skip


@pytest.fixture
async def valve():
    return Valve()


@pytest.fixture
async def queue(valve):
    """Its model runs one batch at a time, of up to 8 jobs."""
    queue = LocalQueue(lambda *_: valve, max_batch=8, max_jobs=1_000)
    yield queue
    valve.let(10_000)
    await queue.close()


async def submit(queue, *jobs):
    """Submit jobs; each is pending or rejected when this returns."""
    tasks = [asyncio.create_task(queue.submit(each)) for each in jobs]
    await asyncio.sleep(0)
    return tasks


async def hold(queue, valve):
    """Keep the model busy with a job, so that later jobs are pending."""
    tasks = await submit(queue, job(0, "first"))
    await until(lambda: valve.begun)
    return tasks


async def test_under_overload_the_model_always_has_full_batches_and_streams_take_turns(
    queue, valve
):
    tasks = await hold(queue, valve)
    for stream in range(5):
        tasks += await submit(queue, *(job(10 * stream + n, f"s{stream}") for n in range(6)))
    valve.let(5)
    await asyncio.gather(*tasks)
    # Stream s has the jobs 10 s, 10 s + 1 ...: the first of each, then the second of each ...
    turns = [10 * stream + n for n in range(6) for stream in range(5)]
    assert valve.batches == [[0], *(turns[at : at + 8] for at in range(0, 30, 8))]


async def test_no_job_runs_for_a_cancelled_caller(queue, valve):
    (held,) = await hold(queue, valve)
    late, left, kept = await submit(queue, job(1, "a", seconds=20 * MS), job(2, "b"), job(3, "c"))
    left.cancel()
    with pytest.raises(Late):
        await late
    valve.let(2)
    await asyncio.gather(held, kept)
    assert valve.batches == [[0], [3]]


async def test_a_stream_ten_times_too_fast_delays_no_other(queue, valve):
    tasks = await hold(queue, valve)
    tasks += await submit(queue, *(job(n, "greedy") for n in range(100)))
    tasks += await submit(queue, *(job(1_000 + n, f"s{n}") for n in range(7)))
    valve.let(2)
    await asyncio.gather(*tasks[-7:])
    assert valve.batches[1] == [0, *range(1_000, 1_007)]
    valve.let(20)
    await asyncio.gather(*tasks)


async def test_many_clips_delay_no_live_window(queue, valve):
    tasks = await hold(queue, valve)
    tasks += await submit(queue, *(job(n, f"c{n}", live=False) for n in range(400)))
    tasks += await submit(queue, *(job(1_000 + n, f"s{n}") for n in range(5)))
    valve.let(2)
    await asyncio.gather(*tasks[-5:])
    assert valve.batches[1] == [*range(1_000, 1_005), 0, 1, 2]
    valve.let(60)
    await asyncio.gather(*tasks)


async def test_in_a_full_queue_a_streams_newest_replaces_its_oldest(valve):
    queue = LocalQueue(lambda *_: valve, max_batch=1, max_jobs=2)
    (running,) = await submit(queue, job(0, "a"))
    await until(lambda: valve.begun)
    tasks = await submit(queue, *(job(n, "a") for n in (1, 2, 3)))
    with pytest.raises(Busy, match="newer"):
        await tasks[0]
    with pytest.raises(Busy, match="2 jobs"):
        await queue.submit(job(1, "b"))
    valve.let(3)
    assert [answer.scores[0] for answer in await asyncio.gather(running, *tasks[1:])] == [0, 2, 3]
    await queue.close()


async def test_a_busy_event_loop_does_not_delay_the_model(queue, valve):
    valve.let(100)
    tasks = await submit(queue, *(job(n, f"s{n}") for n in range(32)))
    until = time.monotonic() + 60
    while valve.rows < 32 and time.monotonic() < until:
        time.sleep(MS)  # noqa: ASYNC251 - the loop is to be blocked
    assert valve.rows == 32
    assert len(await asyncio.gather(*tasks)) == 32


async def test_an_idle_model_releases_its_thread_and_starts_one_on_demand(
    queue, valve, monkeypatch
):
    valve.let(10_000)

    def threads():
        return [thread for thread in threading.enumerate() if thread.name == "model"]

    monkeypatch.setattr(local, "IDLE_S", 0.02)
    before = len(threads())
    for _ in range(20):
        assert (await queue.submit(job(1, "s"))).scores[0] == 1
        await until(lambda: len(threads()) <= before)
    for pause in np.linspace(0.018, 0.022, 50):
        await queue.submit(job(1, "s"))
        await asyncio.sleep(pause)


async def test_a_thread_limit_rejects_jobs_and_the_queue_recovers(queue, valve, monkeypatch):
    valve.let(1)

    def start(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", start)
        with pytest.raises(Busy, match="cannot start a thread"):
            await queue.submit(job(1, "s"))
    assert queue.depth == 0
    assert (await queue.submit(job(2, "s"))).scores[0] == 2


async def test_closing_ends_with_and_without_the_models_thread(valve, monkeypatch):
    valve.let(2)
    for idle in (5.0, 0.01):
        monkeypatch.setattr(local, "IDLE_S", idle)
        queue = LocalQueue(lambda *_: valve, max_batch=8, max_jobs=10)
        await queue.submit(job(1, "s"))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(60):
            await queue.close()


async def test_a_queue_is_congested_while_its_live_jobs_would_take_too_long(queue, valve):
    assert not queue.congested("m")
    first = asyncio.create_task(queue.submit(job(0, "a")))
    await until(lambda: valve.begun == 1)
    await asyncio.sleep(CONGESTED_S / SMOOTHING / 20)  # a job takes a twentieth of the bound
    valve.let()
    await first
    later = [asyncio.create_task(queue.submit(job(n, f"s{n}"))) for n in range(1, 40)]
    await until(lambda: queue.depth == 31)
    assert queue.congested("m")
    assert not queue.congested("other")
    valve.let(4)
    await until(lambda: not queue.depth)
    assert not queue.congested("m")
    valve.let(100)
    await asyncio.gather(*later)


async def test_clips_do_not_make_a_queue_congested(queue, valve):
    first = asyncio.create_task(queue.submit(job(0, "a")))
    await until(lambda: valve.begun == 1)
    await asyncio.sleep(CONGESTED_S)
    valve.let()
    await first
    clips = [asyncio.create_task(queue.submit(job(n, "clip", live=False))) for n in range(1, 40)]
    await until(lambda: queue.depth == 31)
    assert not queue.congested("m")
    valve.let(100)
    await asyncio.gather(*clips)


@pytest.fixture
def later(monkeypatch):
    """Moves the clock of the queue on by a number of seconds."""
    clock = SimpleNamespace(monotonic=time.monotonic)
    monkeypatch.setattr(local, "time", clock)

    def later(seconds):
        clock.monotonic = lambda: time.monotonic() + seconds

    return later


async def test_a_clip_waits_for_all_pending_jobs_of_its_model(queue, valve):
    assert queue.clip_wait_s("m") == 0
    first = await hold(queue, valve)
    jobs = [job(n, f"s{n}") for n in range(1, 40)]
    pending = await submit(queue, *jobs)
    valve.let()
    await first[0]
    await until(lambda: valve.begun == 2)
    before, known = queue.clip_wait_s("m"), queue.depth
    assert before > 0
    pending += await submit(queue, *(job(n, f"s{n}") for n in range(40, 40 + known)))
    assert queue.clip_wait_s("m") >= 2 * before * 0.999
    assert queue.clip_wait_s("other") == 0
    valve.let(100)
    await asyncio.gather(*pending)
    assert queue.clip_wait_s("m") == 0


async def test_a_clip_that_has_waited_long_foretells_the_wait_of_the_next(queue, valve, later):
    tasks = await hold(queue, valve)
    tasks += await submit(queue, job(1, "live"))
    later(10)
    assert queue.clip_wait_s("m") == 0
    later(0)
    clips = await submit(queue, job(1, "a", live=False), job(2, "b", live=False))
    assert queue.clip_wait_s("m") < 1
    later(10)
    assert queue.clip_wait_s("m") == pytest.approx(10 / STALE, rel=0.1)
    for clip in clips:
        clip.cancel()
    await asyncio.wait(clips)
    assert queue.clip_wait_s("m") == 0
    later(0)
    valve.let(2)
    await asyncio.gather(*tasks)


async def test_a_model_hangs_once_it_runs_too_long_past_the_deadlines_of_its_jobs(
    queue, valve, later
):
    first = await hold(queue, valve)
    assert queue.overdue_s == 0
    later(60 + HANG_S - 5)
    assert HANG_S - 10 < queue.overdue_s < HANG_S
    assert hung(queue) == ""
    later(60 + HANG_S + 5)
    assert hung(queue).endswith(" s past its deadline: it hangs")
    valve.let()
    await first[0]
    await until(lambda: queue.overdue_s == 0)
    assert hung(queue) == ""
