"""The queue under more than it can do: full speed, young answers, and nobody pays for another's greed."""

import asyncio
import threading
import time
from collections import Counter

import numpy as np
import pytest

from common.errors import Busy, Late
from service.queue import local
from service.queue.base import Job
from service.queue.local import LocalQueue
from tests.service.conftest import until

MS = 1e-3
DEADLINE = 0.4


class Slow:
    """A model that does a known number of rows a second, whatever the machine."""

    def __init__(self, *, row_s):
        self.row_s = row_s
        self.rows = 0
        self.busy_s = 0.0

    def predict(self, batch):
        begin = time.monotonic()
        time.sleep(self.row_s * len(batch))
        self.rows += len(batch)
        self.busy_s += time.monotonic() - begin
        return batch


def job(number, stream, *, live=True, seconds=DEADLINE, now=None):
    tensor = np.array([number], np.float32)
    return Job(
        id=f"{stream}-{number}", model="m", version="1", tensor=tensor,
        deadline=(time.monotonic() if now is None else now) + seconds, live=live, stream=stream,
    )  # fmt: skip


@pytest.fixture
def slow():
    return Slow(row_s=2 * MS)


@pytest.fixture
async def queue(slow):
    queue = LocalQueue(lambda *_: slow, max_batch=8, max_jobs=1_000)
    yield queue
    await queue.close()


class Crowd:
    """Streams that ask on a schedule, whatever comes back, and what becomes of it."""

    def __init__(self, queue):
        self.queue = queue
        self.fates = Counter()
        self.ages = []
        self.tasks = []

    async def stream(self, name, *, every, until, live=True):
        begin = time.monotonic()
        for number in range(int(until / every)):
            await asyncio.sleep(begin + number * every - time.monotonic())
            self.tasks.append(asyncio.create_task(self.ask(job(number, name, live=live), name)))

    async def ask(self, asked, name):
        begin = time.monotonic()
        try:
            await self.queue.submit(asked)
        except (Busy, Late) as error:
            self.fates[name, type(error).__name__] += 1
        else:
            self.fates[name, "answered"] += 1
            self.ages.append(time.monotonic() - begin)

    def count(self, fate):
        return {name: count for (name, found), count in self.fates.items() if found == fate}


async def test_under_threefold_overload_it_keeps_its_speed_and_what_it_answers_is_young(
    queue, slow
):
    crowd, seconds = Crowd(queue), 1.5
    # 75 streams every 50 ms are 1,500 rows a second; it does at most 500.
    begin = time.monotonic()
    await asyncio.gather(*(crowd.stream(f"s{n}", every=50 * MS, until=seconds) for n in range(75)))
    await asyncio.gather(*crowd.tasks)
    took = time.monotonic() - begin
    answered = crowd.count("answered")
    assert sum(crowd.fates.values()) == 75 * 30
    # The model never rests, and works for nobody who has given up.
    assert slow.busy_s >= 0.8 * took
    assert slow.rows <= 1.1 * sum(answered.values())
    assert np.percentile(crowd.ages, 99) < DEADLINE
    # Each has its turn: none gets less than half of its share.
    assert min(answered.get(f"s{n}", 0) for n in range(75)) >= 0.5 * sum(answered.values()) / 75


async def test_a_stream_ten_times_too_fast_delays_nobody(queue):
    crowd = Crowd(queue)
    # 20 streams need 200 rows a second of 500; the greedy one alone asks for 1,000.
    polite = [crowd.stream(f"s{n}", every=100 * MS, until=1.0) for n in range(20)]
    await asyncio.gather(*polite, crowd.stream("greedy", every=1 * MS, until=1.0))
    await asyncio.gather(*crowd.tasks)
    answered = crowd.count("answered")
    assert [answered[f"s{n}"] for n in range(20)] == [10] * 20
    assert 100 <= answered["greedy"] < 500
    assert crowd.count("Busy").keys() | crowd.count("Late").keys() <= {"greedy"}


async def test_clips_in_masses_take_no_live_window_its_turn(queue):
    crowd = Crowd(queue)
    clips = [
        asyncio.create_task(queue.submit(job(n, f"c{n}", live=False, seconds=9)))
        for n in range(400)
    ]
    await asyncio.gather(*(crowd.stream(f"s{n}", every=100 * MS, until=0.5) for n in range(10)))
    await asyncio.gather(*crowd.tasks)
    assert crowd.count("answered") == {f"s{n}": 5 for n in range(10)}
    # No more than the batch that was running, and their own.
    assert np.median(crowd.ages) < 8 * 2 * MS + 10 * 2 * MS + 30 * MS
    assert len(await asyncio.gather(*clips)) == 400


async def test_in_a_full_queue_a_streams_newest_takes_the_place_of_its_oldest(slow):
    queue = LocalQueue(lambda *_: slow, max_batch=1, max_jobs=2)
    slow.row_s = 50 * MS
    running = asyncio.create_task(queue.submit(job(0, "a")))
    await asyncio.sleep(10 * MS)
    tasks = [asyncio.create_task(queue.submit(job(n, "a"))) for n in (1, 2, 3)]
    with pytest.raises(Busy, match="newer"):
        await tasks[0]
    with pytest.raises(Busy, match="2 jobs are pending"):
        await queue.submit(job(1, "b"))
    assert [answer.scores[0] for answer in await asyncio.gather(running, *tasks[1:])] == [0, 2, 3]
    await queue.close()


async def test_a_busy_event_loop_does_not_keep_the_model_waiting(queue, slow):
    tasks = [asyncio.create_task(queue.submit(job(n, f"s{n}", seconds=9))) for n in range(32)]
    await asyncio.sleep(0)
    until = time.monotonic() + 1
    while slow.rows < 32 and time.monotonic() < until:
        time.sleep(MS)  # noqa: ASYNC251 - the loop is to be blocked
    assert slow.rows == 32
    assert len(await asyncio.gather(*tasks)) == 32


async def test_a_model_nobody_asks_gives_its_thread_back_and_has_one_again_when_asked(
    queue, monkeypatch
):
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


async def test_a_machine_without_a_thread_left_refuses_and_is_asked_again(queue):
    before = threading.stack_size(2**46)  # more than can be had
    try:
        with pytest.raises(Busy, match="cannot start a thread"):
            await queue.submit(job(1, "s"))
    finally:
        threading.stack_size(before)
    assert queue.depth == 0
    assert (await queue.submit(job(2, "s"))).scores[0] == 2


async def test_closing_ends_whether_the_models_thread_is_there_or_gone(slow, monkeypatch):
    for idle in (5.0, 0.01):
        monkeypatch.setattr(local, "IDLE_S", idle)
        queue = LocalQueue(lambda *_: slow, max_batch=8, max_jobs=10)
        await queue.submit(job(1, "s"))
        await asyncio.sleep(0.05)
        async with asyncio.timeout(1):
            await queue.close()
