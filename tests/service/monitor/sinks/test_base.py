"""The queue before a sink: nothing waits for it, and what is lost is counted."""

import asyncio

import pytest

from service.archive.records import MinuteRecord
from service.monitor.sinks import base
from service.monitor.sinks.base import SinkError, SinkQueue
from tests.service.conftest import until


def minute(number):
    return MinuteRecord(source="a", minute_ms=number)


class Shelf:
    """A sink that fails when it is told to, and takes so many at a time."""

    def __init__(self, *, at_most=1_000):
        self.taken, self.failure, self.closed, self._at_most = [], None, False, at_most
        self.offered = asyncio.Event()
        self.gate = None

    async def write(self, records):
        self.offered.set()
        if self.gate:
            await self.gate.wait()
        if self.failure:
            raise self.failure
        self.taken += records[: self._at_most]
        return min(len(records), self._at_most)

    async def close(self):
        self.closed = True


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(base, "FIRST_WAIT_S", 0.01)


async def carried(queue, shelf, count):
    task = asyncio.create_task(queue.run())
    await until(lambda: len(shelf.taken) >= count)
    await queue.close(task)


@pytest.mark.parametrize("at_most", [1, 3, 1_000])
async def test_every_record_comes_once_in_its_order(at_most):
    shelf = Shelf(at_most=at_most)
    queue = SinkQueue("shelf", shelf)
    sent = [minute(number) for number in range(20)]
    for record in sent:
        queue.put(record)
    await carried(queue, shelf, 20)
    assert (shelf.taken, queue.lost, shelf.closed) == (sent, 0, True)


@pytest.mark.parametrize("failure", [SinkError("away"), OSError("disk full"), KeyError(1)])
async def test_a_sink_that_was_away_gets_what_waited_and_the_log_says_so_once(failure, capsys):
    shelf = Shelf()
    shelf.failure = failure
    queue = SinkQueue("shelf", shelf, limit=10)
    task = asyncio.create_task(queue.run())
    for number in range(15):
        queue.put(minute(number))
    await shelf.offered.wait()
    await asyncio.sleep(0.1)
    shelf.failure = None
    await until(lambda: shelf.taken)
    await queue.close(task)
    assert [record.minute_ms for record in shelf.taken] == list(range(5, 15))
    assert queue.lost == 5
    told = capsys.readouterr().err
    assert told.count("sink failed") == told.count("sink works again") == 1
    assert told.count("Traceback") == isinstance(failure, KeyError)


async def test_what_gives_way_while_it_is_written_is_not_lost():
    shelf = Shelf(at_most=3)
    shelf.gate = asyncio.Event()
    queue = SinkQueue("shelf", shelf, limit=4)
    task = asyncio.create_task(queue.run())
    for number in range(4):
        queue.put(minute(number))
    await shelf.offered.wait()
    for number in range(4, 9):
        queue.put(minute(number))
    shelf.gate.set()
    await until(lambda: len(shelf.taken) >= 7)
    await queue.close(task)
    # 3 of the first 4 were taken; of the 9, the queue held the last 4; 3 and 4 are lost.
    assert [record.minute_ms for record in shelf.taken] == [0, 1, 2, 5, 6, 7, 8]
    assert queue.lost == 2


async def test_at_the_end_a_sink_that_fails_loses_what_waits_and_this_is_counted(
    monkeypatch, capsys
):
    monkeypatch.setattr(base, "CLOSE_S", 0.1)
    shelf = Shelf()
    shelf.failure = SinkError("away")
    queue = SinkQueue("shelf", shelf)
    task = asyncio.create_task(queue.run())
    queue.put(minute(1))
    await shelf.offered.wait()
    await queue.close(task)
    assert (queue.lost, shelf.closed) == (1, True)
    assert "records lost" in capsys.readouterr().err


async def test_a_queue_that_is_cancelled_while_its_sink_fails_ends():
    """Also when both come in one turn of the loop, as at the end of a monitor."""
    for turns in range(20):
        shelf = Shelf()
        shelf.failure = SinkError("away")
        queue = SinkQueue("shelf", shelf)
        task = asyncio.create_task(queue.run())
        queue.put(minute(1))
        queue._closing.set()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        async with asyncio.timeout(120):
            await asyncio.gather(task, return_exceptions=True)
        assert task.done()


async def test_what_was_put_is_written_when_it_is_taken_or_has_given_way():
    shelf = Shelf(at_most=2)
    shelf.gate = asyncio.Event()
    queue = SinkQueue("shelf", shelf, limit=3)
    await queue.written()
    task = asyncio.create_task(queue.run())
    for number in range(3):
        queue.put(minute(number))
    first = asyncio.create_task(queue.written())
    await shelf.offered.wait()
    for number in range(3, 5):
        queue.put(minute(number))
    second = asyncio.create_task(queue.written())
    await asyncio.sleep(0)
    assert not first.done()
    shelf.gate.set()
    async with asyncio.timeout(120):
        await asyncio.gather(first, second)
    assert [record.minute_ms for record in shelf.taken] == [0, 1, 2, 3, 4]
    await queue.close(task)


async def test_a_sink_that_rests_between_batches_gets_what_came_meanwhile_at_once():
    shelf = Shelf()
    queue = SinkQueue("shelf", shelf, every_s=3_600)
    task = asyncio.create_task(queue.run())
    queue.put(minute(0))
    await until(lambda: shelf.taken)
    for number in range(1, 5):
        queue.put(minute(number))
    assert queue.waiting == 4
    # The end is no time to rest.
    await queue.close(task)
    assert [each.minute_ms for each in shelf.taken] == [0, 1, 2, 3, 4]
    assert queue.lost == 0


async def test_a_backlog_leaves_no_time_to_rest():
    shelf = Shelf(at_most=10)
    queue = SinkQueue("shelf", shelf, every_s=3_600)
    for number in range(base.MAX_BATCH + 30):
        queue.put(minute(number))
    task = asyncio.create_task(queue.run())
    await until(lambda: queue.waiting < base.MAX_BATCH)
    await queue.close(task)
    assert len(shelf.taken) == base.MAX_BATCH + 30
