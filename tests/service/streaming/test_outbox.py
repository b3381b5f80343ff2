"""The waiting room: bounded, in order, and what is pushed out is not forgotten."""

import asyncio
import time

import pytest

from service import protocol
from service.streaming.outbox import Outbox, PendingWindow
from service.streaming.windower import LiveWindow

MS = 1e-3


def window(number):
    return PendingWindow(LiveWindow(number, number + 1, number, number + 1, None), 0.0, 0.0)


@pytest.fixture
def room():
    room = Outbox(limit=2)
    for number in range(5):
        room.put(window(number))
    return room


async def test_the_oldest_are_pushed_out_but_keep_their_place(room):
    await room.room(patience=MS)
    room.close()
    found = [(await room.take()) for _ in range(5)]
    assert [(each.what.start, each.dropped) for each in found] == [
        (0, True), (1, True), (2, True), (3, False), (4, False),
    ]  # fmt: skip
    assert await room.take() is None


async def test_without_a_limit_to_patience_nothing_is_dropped(room):
    waiting = asyncio.create_task(room.room(patience=None))
    await asyncio.sleep(20 * MS)
    assert not waiting.done()
    taken = [await room.take() for _ in range(3)]
    await asyncio.wait_for(waiting, 1)
    assert not any(each.dropped for each in taken)


async def test_a_burst_that_is_worked_off_in_time_loses_nothing(room):
    waiting = asyncio.create_task(room.room(patience=1.0))
    taken = []
    for _ in range(5):
        taken.append(await room.take())
        await asyncio.sleep(MS)
    await waiting
    assert not any(each.dropped for each in taken)


async def test_who_takes_waits_until_something_comes():
    room = Outbox(limit=2)
    taking = asyncio.create_task(room.take())
    await asyncio.sleep(0)
    room.put(window(7))
    assert (await taking).what.start == 7
    taking = asyncio.create_task(room.take())
    await asyncio.sleep(0)
    room.close()
    assert await taking is None


async def test_those_that_leave_while_the_loop_is_late_are_not_dropped():
    room = Outbox(limit=1)
    for number in range(2):
        room.put(window(number))
    waiting = asyncio.create_task(room.room(patience=MS))
    await asyncio.sleep(0)
    time.sleep(5 * MS)  # noqa: ASYNC251 - the loop is to be late
    taken = [await room.take() for _ in range(2)]
    await asyncio.wait_for(waiting, 1)
    assert not any(each.dropped for each in taken)


async def test_windows_behind_others_are_asked_for_at_once_and_withdrawn_with_their_place():
    async def verdict():
        await asyncio.sleep(9)

    room = Outbox(limit=2, ask=lambda _: asyncio.create_task(verdict()))
    line = [window(number) for number in range(4)]
    for each in line:
        room.put(each)
    assert [each.asking is not None for each in line] == [False, True, True, True]
    assert await room.take() is line[0]
    await room.room(patience=MS)
    await asyncio.sleep(0)
    assert [each.dropped for each in line] == [False, True, False, False]
    assert [each.asking.cancelled() for each in line[1:]] == [True, False, False]
    room.clear()
    await asyncio.sleep(0)
    assert all(each.asking.cancelled() for each in line[1:])


async def test_what_was_not_computed_takes_no_room_and_is_not_asked_for():
    room = Outbox(limit=1, ask=lambda _: pytest.fail("asked"))
    for number in range(3):
        thinned = window(number)
        thinned.dropped = True
        room.put(thinned)
    await asyncio.wait_for(room.room(patience=None), 1)


async def test_warnings_take_no_room():
    room = Outbox(limit=1)
    for _ in range(10):
        room.put(PendingWindow(protocol.Warn(kind="silence", detail="", from_sample=0), 0.0, 0.0))
    room.put(window(1))
    await asyncio.wait_for(room.room(patience=None), 1)
