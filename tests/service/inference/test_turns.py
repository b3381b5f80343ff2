"""Turns of the event loop: in order, few in one iteration, each told how long it has waited."""

import asyncio
import itertools

import pytest

from service.inference.turns import ITERATION_S, POLL_S, Turns
from tests.service.helpers.virtual_loop import on_virtual_loop

MS = 1e-3


@on_virtual_loop
async def test_a_burst_does_not_block_the_loop_and_is_served_in_order(loop):
    turns, done, iterations = Turns(clock=loop.time), [], [loop.time()]

    def work_of(number):
        def work(_):
            loop.work(MS)
            done.append(number)

        return work

    for number in range(100):
        turns.request(work_of(number))
    assert not done
    while len(turns):
        await asyncio.sleep(0)
        iterations.append(loop.time())
    assert done == list(range(100))
    longest = max(late - early for early, late in itertools.pairwise(iterations))
    assert ITERATION_S <= longest < ITERATION_S + 2 * MS


@on_virtual_loop
async def test_work_is_told_how_long_it_has_waited(loop):
    turns, waits = Turns(clock=loop.time), []
    turns.request(lambda _: loop.work(0.3))
    turns.request(waits.append)
    await asyncio.sleep(0)
    assert not waits  # the iteration was used up
    loop.work(0.2)
    await asyncio.sleep(0)
    assert waits == [pytest.approx(0.5)]


@on_virtual_loop
async def test_work_that_requests_another_turn_comes_after_what_waits(loop):
    turns, order = Turns(clock=loop.time), []

    def long(_):
        order.append("long")
        if order.count("long") < 3:
            turns.request(long)

    turns.request(long)
    turns.request(lambda _: order.append("short"))
    for _ in range(3):
        await turns.wait()
    assert order == ["long", "short", "long", "long"]


@on_virtual_loop
async def test_nothing_is_scheduled_when_nothing_waits(loop):
    turns = Turns(clock=loop.time)
    await turns.wait()
    await asyncio.sleep(0)
    assert not loop._ready


@on_virtual_loop
async def test_work_that_raises_takes_no_turn_from_others(loop):
    turns, done, faults = Turns(clock=loop.time), [], []
    loop.set_exception_handler(lambda _, context: faults.append(context["exception"]))
    for number in range(3):
        turns.request(lambda _: 1 / 0)
        turns.request(lambda _, number=number: done.append(number))
    for _ in range(6):
        await asyncio.sleep(0)
    assert done == [0, 1, 2]
    assert [type(fault) for fault in faults] == [ZeroDivisionError] * 3


@on_virtual_loop
async def test_work_for_a_congested_model_waits_and_other_work_does_not(loop):
    congested = {"slow"}
    turns, done = Turns(clock=loop.time, congested=congested.__contains__), []
    turns.request(lambda waited: done.append(("slow", waited)), model="slow")
    turns.request(lambda _: done.append("fast"), model="fast")
    turns.request(lambda _: done.append("none"))
    await asyncio.sleep(1.0)
    assert done == ["fast", "none"]
    congested.clear()
    await asyncio.sleep(2 * POLL_S)
    assert done[2:] == [("slow", pytest.approx(1.0, abs=2 * POLL_S))]
    await asyncio.sleep(1.0)
    assert not loop._scheduled


@on_virtual_loop
async def test_work_of_several_models_comes_in_the_order_of_its_requests(loop):
    turns, order = Turns(clock=loop.time), []
    for number in range(6):
        turns.request(lambda _, number=number: order.append(number), model="ab"[number % 2])
        loop.work(MS)
    await turns.wait()
    assert order == list(range(6))


@on_virtual_loop
async def test_the_result_of_work_comes_in_its_turn(loop):
    turns, order = Turns(clock=loop.time), []
    turns.request(lambda _: order.append("first"))
    work = asyncio.create_task(turns.run(lambda: order.append("second") or len(order)))
    await asyncio.sleep(0)
    turns.request(lambda _: order.append("third"))
    assert await work == 2
    await turns.wait()
    assert order == ["first", "second", "third"]


@on_virtual_loop
async def test_what_work_raises_is_its_callers(loop):
    faults = []
    loop.set_exception_handler(lambda _, context: faults.append(context))
    turns = Turns(clock=loop.time)
    with pytest.raises(ZeroDivisionError):
        await turns.run(lambda: 1 / 0)
    assert not faults
    assert await turns.run(lambda: 42) == 42


@on_virtual_loop
async def test_work_of_a_caller_that_has_left_is_not_called(loop):
    turns, done = Turns(clock=loop.time), []
    turns.request(lambda _: loop.work(0.3))
    work = asyncio.create_task(turns.run(lambda: done.append(1)))
    await asyncio.sleep(0)
    work.cancel()
    await asyncio.wait([work])
    await turns.wait()
    assert not done
