"""How late the loop is: counted in the right bucket, and felt when it blocks."""

import asyncio
import itertools
import time

import pytest

from service.inference.histogram import BOUNDS_MS, Histogram
from service.inference.load_shedding import (
    CALM_TICKS,
    IN_TIME_MS,
    LATE_TICKS,
    MAX_THINNING,
    TOO_LATE_MS,
    LoadShedder,
)
from service.inference.loop_monitor import SHARE_S, TICK_S, LoopMonitor


def test_each_bucket_holds_its_upper_bound_and_nothing_above():
    histogram = Histogram()
    for bound in BOUNDS_MS:
        histogram.note(bound)
        histogram.note(bound + 1e-6)
    assert histogram.counts == [1, *[2] * (len(BOUNDS_MS) - 1), 1]
    assert histogram.max_ms == BOUNDS_MS[-1] + 1e-6
    assert histogram.sum_ms == pytest.approx(2 * sum(BOUNDS_MS), rel=1e-6)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 1.0), (0.9, 1.0), (0.91, 20.0), (0.99, 20.0), (1.0, 33.0)]
)
def test_a_quantile_is_the_bound_that_so_many_do_not_exceed(share, expected):
    histogram = Histogram()
    for ms in [0.5] * 90 + [17.0] * 9 + [33.0]:
        histogram.note(ms)
    assert histogram.quantile(share) == expected


def test_a_quantile_is_never_more_than_the_largest_and_zero_of_nothing():
    histogram = Histogram()
    assert histogram.quantile(0.99) == 0.0
    histogram.note(6_000.0)
    histogram.note(0.25)
    assert (histogram.quantile(0.5), histogram.quantile(1.0)) == (1.0, 6_000.0)


async def test_a_loop_that_is_blocked_is_seen_and_one_that_is_stopped_counts_no_more():
    lag = LoopMonitor()
    lag.start()
    await asyncio.sleep(5 * TICK_S)
    assert sum(lag.histogram.counts) >= 1
    time.sleep(0.1)  # noqa: ASYNC251 - it is to block
    await asyncio.sleep(2 * TICK_S)
    assert lag.histogram.max_ms >= 100 - 1e3 * TICK_S
    lag.stop()
    before = list(lag.histogram.counts)
    await asyncio.sleep(3 * TICK_S)
    assert lag.histogram.counts == before


def test_a_late_loop_thins_until_it_is_in_time_and_calm_brings_all_back():
    thinning, seen = LoadShedder(), []
    for ms in (
        TOO_LATE_MS,
        *[9_999.0] * (LATE_TICKS - 1),
        TOO_LATE_MS,
        *[TOO_LATE_MS + 1] * (LATE_TICKS - 1),
    ):
        thinning.note(ms)
        assert thinning.one_of == 1
    for _ in range(100):
        thinning.note(TOO_LATE_MS + 1)
        seen.append(thinning.one_of)
    assert seen[:4] == [2, 3, 4, 6]
    assert seen[-1] == MAX_THINNING
    for _ in range(CALM_TICKS - 1):
        thinning.note(IN_TIME_MS)
    assert thinning.one_of == MAX_THINNING
    thinning.note(IN_TIME_MS + 1)
    for _ in range(CALM_TICKS):
        thinning.note(IN_TIME_MS)
    assert thinning.one_of == MAX_THINNING * 3 // 4
    for _ in range(100 * CALM_TICKS):
        thinning.note(0)
    assert thinning.one_of == 1


async def test_what_is_handled_late_in_a_turn_is_known_to_have_come_before():
    lag = LoopMonitor()
    assert lag.stalled(time.monotonic() + 9) == 0.0
    lag.start()
    begin = time.monotonic()
    assert lag.stalled(begin) == 0.0
    assert lag.stalled(begin + 0.2) == pytest.approx(0.2 - TICK_S, abs=5e-3)
    lag.stop()


def spin(seconds):
    """Work, by the clock of this thread: what else the machine does is none of ours."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


async def test_however_much_comes_at_once_the_loop_goes_on_turning_first_come_first_served():
    lag, done, turns = LoopMonitor(), [], [time.thread_time()]

    async def work(number):
        await lag.turn()
        spin(0.001)
        done.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(100)]
    while len(done) < len(tasks):
        await asyncio.sleep(0)
        turns.append(time.thread_time())
    assert done == list(range(100))
    assert max(late - early for early, late in itertools.pairwise(turns)) < SHARE_S + 0.003


async def test_one_burst_that_waits_is_no_reason_to_thin_and_waiting_again_and_again_is():
    lag = LoopMonitor()
    lag.start()

    async def work():
        await lag.turn()
        spin(0.005)

    await asyncio.gather(*(work() for _ in range(60)))
    await asyncio.sleep(2 * TICK_S)
    assert lag.thinning.one_of == 1
    tasks = []
    async with asyncio.timeout(20):
        while lag.thinning.one_of == 1:
            tasks += [asyncio.create_task(work()) for _ in range(4)]
            await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    lag.stop()
