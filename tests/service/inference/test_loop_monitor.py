"""Event-loop lag: counted, shed, measured only while there is work; turns are fair."""

import asyncio
import itertools

import pytest

from service.inference.load_shedding import LOW_TICKS
from service.inference.loop_monitor import (
    IDLE_S,
    ITERATION_S,
    SAME_BURST_S,
    TICK_S,
    TURN_S,
    LoopMonitor,
    Turn,
)
from tests.service.conftest import begin, until
from tests.service.helpers.virtual_loop import on_virtual_loop


class Load:
    """Whether there is work."""

    def __init__(self, *, work):
        self.work = work


def monitor_of(loop, load=None):
    load = load or Load(work=True)
    return LoopMonitor(has_work=lambda: load.work, clock=loop.time)


@on_virtual_loop
async def test_a_blocked_loop_is_measured_and_a_stopped_monitor_counts_no_more(loop):
    monitor = monitor_of(loop)
    monitor.start()
    await asyncio.sleep(5.5 * TICK_S)
    assert sum(monitor.histogram.counts) == 5
    assert monitor.histogram.max_ms < 1e-3
    loop.work(0.1)
    await asyncio.sleep(TICK_S / 2)
    assert sum(monitor.histogram.counts) == 6
    assert monitor.histogram.max_ms == pytest.approx(1e3 * (0.1 - TICK_S / 2))
    monitor.stop()
    monitor.wake()
    await asyncio.sleep(3 * TICK_S)
    assert sum(monitor.histogram.counts) == 6


@on_virtual_loop
async def test_without_work_no_timer_is_pending_and_with_work_there_is_one(loop):
    load = Load(work=False)
    monitor = monitor_of(loop, load)
    monitor.wake()
    assert not monitor.ticking  # not started yet
    monitor.start()
    await asyncio.sleep(2 * IDLE_S)
    assert not monitor.ticking
    before = sum(monitor.histogram.counts)
    await asyncio.sleep(3_600)
    assert sum(monitor.histogram.counts) == before
    load.work = True
    monitor.wake()
    await asyncio.sleep(10 * IDLE_S)
    assert monitor.ticking
    load.work = False
    await asyncio.sleep(IDLE_S / 2)
    assert monitor.ticking
    await asyncio.sleep(IDLE_S)
    assert not monitor.ticking
    assert not [timer for timer in loop._scheduled if not timer.cancelled()]


@on_virtual_loop
async def test_sleep_without_work_is_no_lag(loop):
    load = Load(work=False)
    monitor = monitor_of(loop, load)
    monitor.start()
    await asyncio.sleep(2 * IDLE_S)
    loop.work(5.0)
    assert monitor.stalled(loop.time()) == 0.0
    load.work = True
    monitor.wake()
    await asyncio.sleep(3 * TICK_S)
    assert monitor.histogram.max_ms < 1e-3


@on_virtual_loop
async def test_the_timer_does_not_stop_before_load_shedding_has_ended(loop):
    load = Load(work=True)
    monitor = monitor_of(loop, load)
    monitor.start()
    while monitor.load_shedder.one_of < 8:
        loop.work(1.0)
        await asyncio.sleep(0)
    load.work = False
    await asyncio.sleep(IDLE_S)
    assert (monitor.ticking, monitor.load_shedder.one_of > 1) == (True, True)
    await asyncio.sleep(100 * LOW_TICKS * TICK_S)
    assert (monitor.ticking, monitor.load_shedder.one_of) == (False, 1)


async def test_a_server_measures_while_a_stream_is_open_and_sleeps_otherwise(serve, monkeypatch):
    monkeypatch.setattr("service.inference.loop_monitor.IDLE_S", 2 * TICK_S)
    server = await serve()
    monitor = server.gateway.loop_monitor
    monitor.start()
    await until(lambda: not monitor.ticking)
    async with server.stream() as socket:
        await begin(socket)
        assert monitor.ticking
        await asyncio.sleep(10 * TICK_S)
        assert monitor.ticking
    await until(lambda: not monitor.ticking)
    for probe in ("/livez", "/readyz"):
        assert (await server.get(probe))[0] == 200
    assert not monitor.ticking


@on_virtual_loop
async def test_a_message_handled_late_in_an_iteration_may_be_older(loop):
    monitor = monitor_of(loop)
    assert monitor.stalled(loop.time() + 9) == 0.0
    monitor.start()
    assert monitor.stalled(loop.time()) == 0.0
    assert monitor.stalled(loop.time() + 0.2) == pytest.approx(0.2 - TICK_S)


@on_virtual_loop
async def test_a_burst_does_not_block_the_loop_and_is_served_in_order(loop):
    monitor, done, turns = monitor_of(loop), [], [loop.time()]

    async def work(number):
        await monitor.admit()
        loop.work(0.001)
        done.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(100)]
    while len(done) < len(tasks):
        await asyncio.sleep(0)
        turns.append(loop.time())
    assert done == list(range(100))
    longest = max(late - early for early, late in itertools.pairwise(turns))
    assert ITERATION_S <= longest < ITERATION_S + 0.002


@on_virtual_loop
async def test_one_burst_that_waits_sheds_no_load_and_waiting_again_and_again_does(loop):
    monitor = monitor_of(loop)
    monitor.start()

    async def work():
        await monitor.admit()
        loop.work(0.005)

    await asyncio.gather(*(work() for _ in range(60)))
    # The last wait of the burst counts once, however long it is quiet after it.
    await asyncio.sleep(10.0)
    assert monitor.load_shedder.one_of == 1
    tasks = []
    for _ in range(2_000):
        tasks += [asyncio.create_task(work()) for _ in range(4)]
        await asyncio.sleep(0)
        if monitor.load_shedder.one_of > 1:
            break
    assert monitor.load_shedder.one_of > 1
    for task in tasks:
        task.cancel()


@on_virtual_loop
async def test_a_stream_waits_for_another_turn_when_its_own_is_used_up(loop):
    monitor = monitor_of(loop)
    turn, admitted = Turn(monitor), []
    admit = monitor.admit

    async def counted():
        admitted.append(loop.time())
        await admit()

    monitor.admit = counted
    turn.begin()
    for _ in range(5):
        await turn.wait()
        loop.work(TURN_S / 2 + 1e-6)
    assert [round(at - 100.0, 3) for at in admitted] == [0.0, 0.002, 0.004]


@on_virtual_loop
async def test_a_message_is_as_old_as_the_wait_of_the_one_before(loop):
    turn = Turn(monitor_of(loop))
    assert turn.begin() == loop.time()
    await turn.wait()
    loop.work(2 * ITERATION_S)
    asked = loop.time()
    loop.call_soon(loop.work, 0.3)
    await turn.wait()
    assert loop.time() == pytest.approx(asked + 0.3)
    turn.end()
    assert turn.begin() == asked
    turn.end()
    loop.work(2 * SAME_BURST_S)
    assert turn.begin() == loop.time()


@on_virtual_loop
async def test_a_message_is_as_old_as_the_iteration_of_the_loop_that_handles_it(loop):
    monitor = monitor_of(loop)
    monitor.start()
    turn = Turn(monitor)
    loop.work(0.2)
    assert turn.begin() == pytest.approx(loop.time() - 0.2 + TICK_S)


@on_virtual_loop
async def test_streams_shed_different_windows(loop):
    monitor = monitor_of(loop)
    monitor.load_shedder.one_of = 3
    assert [Turn(monitor).shedding for _ in range(3)] == [(3, 0), (3, 1), (3, 2)]
