"""Event-loop lag is counted, and measured only while there is work."""

import asyncio

import pytest

from service.inference.loop_monitor import IDLE_S, TICK_S, LoopMonitor
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
    load.work = True
    monitor.wake()
    await asyncio.sleep(3 * TICK_S)
    assert monitor.histogram.max_ms < 1e-3


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
