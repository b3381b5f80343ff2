"""Flow control before Redis: in-flight credit, and replacement of the rest."""

import asyncio
import math
from collections import Counter, deque
from types import SimpleNamespace

import pytest

from common.errors import Busy
from service.queue import flow_control
from service.queue.flow_control import (
    DECREASE,
    INCREASE,
    INITIAL_CREDIT,
    MIN_CREDIT,
    SLOW_S,
    STEADY_CREDIT,
    TARGET_S,
    FlowControl,
)
from tests.service.queue.test_local import DEADLINE, MS, job


@pytest.fixture
def flow():
    flow = FlowControl(limit=3)
    flow.credit = 1.0
    return flow


async def acquiring(flow, *jobs):
    tasks = [asyncio.create_task(flow.acquire(each)) for each in jobs]
    await asyncio.sleep(0)
    return tasks


def done(tasks):
    return [task.done() for task in tasks]


async def test_jobs_in_flight_never_exceed_the_credit_and_each_release_admits_the_next(flow):
    tasks = await acquiring(flow, *(job(n, f"s{n}") for n in range(3)))
    assert (done(tasks), len(flow)) == ([True, False, False], 2)
    flow.release(None)
    await asyncio.sleep(0)
    assert (done(tasks), len(flow)) == ([True, True, False], 1)
    flow.release(None)
    await asyncio.wait_for(flow.empty(), 60)
    assert not any(task.exception() for task in tasks)


async def test_flow_is_congested_when_as_many_jobs_wait_as_may_be_in_flight(flow):
    flow.credit = 2.0
    tasks = await acquiring(flow, *(job(n, f"s{n}") for n in range(3)))
    assert not flow.congested
    tasks += await acquiring(flow, job(3, "s3"))
    assert flow.congested
    flow.release(None)
    await asyncio.sleep(0)
    assert not flow.congested
    for task in tasks:
        task.cancel()


async def test_of_a_stale_stream_the_newest_is_admitted(flow):
    await acquiring(flow, job(0, "s"))
    old, new = await acquiring(flow, job(1, "s", seconds=4 * MS), job(2, "s", seconds=9))
    await asyncio.sleep(2 * MS)
    flow.release(None)
    with pytest.raises(Busy, match="overtaken"):
        await old
    await new


async def test_pending_jobs_are_bounded_and_a_streams_newest_replaces_its_oldest(flow):
    await acquiring(flow, job(0, "a"))
    first, *_ = await acquiring(flow, *(job(n, "a") for n in (1, 2, 3)))
    with pytest.raises(Busy, match="3 jobs"):
        await flow.acquire(job(1, "b"))
    await acquiring(flow, job(4, "a"))
    with pytest.raises(Busy, match="replaced"):
        await first
    assert len(flow) == 3


async def test_a_cancelled_job_frees_all_state_even_when_it_is_admitted_at_once(flow):
    await acquiring(flow, job(0, "a"))
    waiting, lucky, last = await acquiring(flow, *(job(n, f"s{n}") for n in (1, 2, 3)))
    waiting.cancel()
    await asyncio.sleep(0)
    assert len(flow) == 2
    flow.release(None)
    lucky.cancel()
    await asyncio.wait_for(last, 60)
    flow.release(None)
    assert flow.in_flight == 0


async def test_a_job_cancelled_at_the_moment_it_is_rejected_releases_no_credit(flow):
    await acquiring(flow, job(0, "a"))
    rejected, *others = await acquiring(flow, *(job(n, "a") for n in (1, 2, 3)))
    others.append(asyncio.create_task(flow.acquire(job(4, "a"))))
    asyncio.get_running_loop().call_soon(rejected.cancel)
    await asyncio.wait((rejected,))
    assert rejected.cancelled()
    await asyncio.sleep(0)
    assert (done(others), len(flow), flow.in_flight) == ([False] * 3, 3, 1)


async def test_credit_grows_with_fast_replies_and_shrinks_with_slow_ones():
    flow = FlowControl(limit=10)
    flow.release(TARGET_S)
    assert flow.credit == INITIAL_CREDIT  # no job waited
    flow.release(TARGET_S + MS)
    assert flow.credit == INITIAL_CREDIT - DECREASE
    for _ in range(2 * int(INITIAL_CREDIT / DECREASE)):
        flow.release(1.0)
    assert flow.credit == MIN_CREDIT
    flow.in_flight = 1_000
    await acquiring(flow, job(1, "a"))
    flow.release(TARGET_S)
    assert flow.credit == MIN_CREDIT + INCREASE


async def test_the_time_of_the_round_trips_is_no_queue():
    flow = FlowControl(limit=10)
    flow.credit = 2 * STEADY_CREDIT
    flow.release(TARGET_S + 0.5 - MS, round_trips_s=0.5)
    assert flow.credit == 2 * STEADY_CREDIT
    flow.release(TARGET_S + 0.5 + MS, round_trips_s=0.5)
    assert flow.credit == 2 * STEADY_CREDIT - DECREASE


class Simulation:
    """Streams, flow control and a worker of a fixed speed, on a clock that the test advances."""

    def __init__(self, monkeypatch, *, streams, per_step):
        self.now = 0.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        monkeypatch.setattr(flow_control, "time", clock)
        self.flow = FlowControl(limit=4_096)
        self.streams = [f"s{n}" for n in range(streams)]
        self.per_step = per_step
        self.tasks = []
        self.in_flight = deque()
        self.idle_steps = 0
        self.ages = []
        self.answered = Counter()
        self.rejected = self.late = 0

    async def step(self, number, seconds):
        """Submit a job of each stream, time out late ones, run as many as the worker can."""
        self.tasks += [
            asyncio.create_task(
                self.submit(job(1_000 * number + at, stream, seconds=DEADLINE, now=self.now))
            )
            for at, stream in enumerate(self.streams)
        ]
        await asyncio.sleep(0)
        self.now += seconds
        for each in [each for each in self.in_flight if each[0].deadline <= self.now]:
            self.in_flight.remove(each)
            self.late += 1
            self.flow.release(math.inf)
        for _ in range(3):
            await asyncio.sleep(0)  # until those let through are in flight
        self.idle_steps += len(self.in_flight) < self.per_step
        for _ in range(min(self.per_step, len(self.in_flight))):
            done, sent_at = self.in_flight.popleft()
            self.ages.append(self.now - done.deadline + DEADLINE)
            self.answered[done.stream] += 1
            self.flow.release(self.now - sent_at)

    async def submit(self, submitted):
        try:
            await self.flow.acquire(submitted)
        except Busy:
            self.rejected += 1
        else:
            self.in_flight.append((submitted, self.now))


async def test_under_overload_the_worker_is_never_idle_and_results_are_recent_and_fair(
    monkeypatch,
):
    # 75 streams every 50 ms are 1,500 jobs a second; the worker runs 500.
    simulation = Simulation(monkeypatch, streams=75, per_step=25)
    for number in range(200):
        await simulation.step(number, 50 * MS)
    assert simulation.idle_steps == 0
    assert simulation.answered.total() == 200 * 25
    assert max(simulation.ages) < DEADLINE
    # Once the credit has settled, most of the time to the deadline is left.
    assert max(simulation.ages[100 * 25 :]) < 0.7 * DEADLINE
    assert min(simulation.answered.values()) > 0.8 * 200 * 25 / 75
    # Each job is answered, rejected, late, or one of the last few.
    for _ in range(3):
        await asyncio.sleep(0)
    left = len(simulation.flow) + len(simulation.in_flight)
    ended = simulation.answered.total() + simulation.rejected + simulation.late
    assert ended + left == 200 * 75
    assert left < 500


async def test_behind_a_very_slow_worker_windows_soon_are_in_time(monkeypatch):
    # 20 streams every 50 ms are 400 jobs a second; the worker runs 20.
    simulation = Simulation(monkeypatch, streams=20, per_step=1)
    for number in range(400):
        await simulation.step(number, 50 * MS)
    late = simulation.late
    for number in range(400, 800):
        await simulation.step(number, 50 * MS)
    assert simulation.late - late < 20
    assert simulation.idle_steps == 0
    assert simulation.flow.credit < STEADY_CREDIT
    assert min(simulation.answered.values()) > 0.7 * 800 / 20


async def test_a_stream_that_floods_gets_no_more_than_the_others(monkeypatch):
    simulation = Simulation(monkeypatch, streams=10, per_step=5)
    simulation.streams += ["flood"] * 40
    for number in range(400):
        if number == 100:
            simulation.answered.clear()  # the first ones came while none had to wait
        await simulation.step(number, 50 * MS)
    flood = simulation.answered.pop("flood")
    assert 0 < flood <= max(simulation.answered.values())
    assert min(simulation.answered.values()) > 0.6 * simulation.answered.total() / 10


async def test_only_much_longer_waits_bring_the_credit_below_the_steady_one():
    flow = FlowControl(limit=10)
    for _ in range(2 * int(INITIAL_CREDIT / DECREASE)):
        flow.release(SLOW_S)
    assert flow.credit == STEADY_CREDIT
    flow.release(SLOW_S + MS)
    assert flow.credit == STEADY_CREDIT - DECREASE
    flow.release(SLOW_S)
    assert flow.credit == STEADY_CREDIT - DECREASE
