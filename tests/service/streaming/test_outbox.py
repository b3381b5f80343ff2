"""Windows of a stream are requested ahead and sent in order; past the bound the oldest drops."""

import asyncio
import time
from contextlib import asynccontextmanager

import numpy as np
import pytest

from common.errors import Busy, Late
from service import protocol
from service.inference.gateway import Prediction
from service.inference.load_shedding import LoadShedder
from service.metrics.metrics import Metrics
from service.settings import Settings
from service.streaming import outbox
from service.streaming.accounting import SampleAccount
from service.streaming.outbox import Outbox
from service.streaming.stream_counter import StreamCounter
from service.streaming.windower import LiveWindow
from tests.service.helpers.virtual_loop import on_virtual_loop

MS = 1e-3
WARNING = protocol.Warn(kind="silence", detail="", from_sample=0)
PREDICTION = Prediction(scores={"tone": 1.0}, labels=(), queue_ms=1, model_ms=2, version="3")


MODEL = object()


class Room:
    """Whether an outbox has called."""

    def __init__(self, outbox, *, grace_s):
        self.free = asyncio.Event()
        outbox.when_free(self.free.set, grace_s=grace_s)


class Gateway:
    """Answers a request when the test says so; a tensor is the number of its window."""

    def __init__(self, **settings):
        self.settings = Settings(max_waiting=2, window_deadline=1e12, **settings)
        self.requests = {}
        self.cancelled = []
        self.load_shedder = LoadShedder()

    async def infer(self, model, tensor, *, deadline, live, stream, trace=None):
        assert (model, live, stream) == (MODEL, True, "s")
        request = self.requests[int(tensor)] = asyncio.get_running_loop().create_future()
        try:
            return await request
        except asyncio.CancelledError:
            self.cancelled.append(int(tensor))
            raise

    async def answer(self, number, outcome=PREDICTION):
        while number not in self.requests:  # noqa: ASYNC110 - there is no event
            await asyncio.sleep(0)
        request = self.requests.pop(number)
        if isinstance(outcome, Exception):
            request.set_exception(outcome)
        else:
            request.set_result(outcome)


class Connection:
    """Keeps what is sent: the number of a window, `-number` of a dropped one, or the message."""

    def __init__(self):
        self.sent = []
        self.reasons = []

    async def send(self, message):
        if isinstance(message, protocol.Dropped):
            self.reasons.append(message.reason)
            message = -message.from_sample
        self.sent.append(getattr(message, "start_sample", message))


def window(number, *, computed=True):
    tensor = np.array(number) if computed else None
    return LiveWindow(number, number + 1, number, number + 1, tensor, model=MODEL)


class Running:
    def __init__(self, *, complete=False, **settings):
        self.gateway, self.connection = Gateway(**settings), Connection()
        self.account = SampleAccount()
        self.outbox = Outbox(
            self.gateway,
            self.connection,
            self.account,
            stream="s",
            model_rate=22_050,
            complete=complete,
            counter=StreamCounter(Metrics(), self.account, model="toy", sample_rate=22_050),
        )

    def put(self, *numbers, **options):
        for number in numbers:
            self.outbox.put(window(number, **options))

    @asynccontextmanager
    async def sending(self):
        task = asyncio.create_task(self.outbox.run())
        try:
            yield task
            self.outbox.close()
            await asyncio.wait_for(task, 60)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_results_are_sent_in_order_whatever_the_order_of_the_answers():
    stream = Running()
    async with stream.sending():
        stream.put(1, 2)
        stream.outbox.put(WARNING)
        for number in (2, 1):
            await stream.gateway.answer(number)
    assert stream.connection.sent == [1, 2, WARNING]
    assert stream.account.windows == 2


async def test_windows_behind_others_are_requested_at_once():
    stream = Running()
    async with stream.sending():
        stream.put(1, 2, 3)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sorted(stream.gateway.requests) == [1, 2, 3]
        for number in (1, 2, 3):
            await stream.gateway.answer(number)


async def test_with_complete_one_window_is_requested_at_a_time():
    stream = Running(complete=True)
    async with stream.sending():
        stream.put(1, 2, 3)
        for number in (1, 2, 3):
            await asyncio.sleep(MS)
            assert list(stream.gateway.requests) == [number]
            await stream.gateway.answer(number)
    assert stream.connection.sent == [1, 2, 3]


async def test_past_the_bound_the_oldest_are_dropped_but_reported_in_order():
    stream = Running()
    stream.put(1, 2, 3, 4, 5)
    await asyncio.wait_for(Room(stream.outbox, grace_s=MS).free.wait(), 60)
    assert not stream.outbox.full
    async with stream.sending():
        for number in (4, 5):
            await stream.gateway.answer(number)
    assert stream.connection.sent == [-1, -2, -3, 4, 5]
    assert stream.connection.reasons == ["overload"] * 3
    assert stream.gateway.cancelled == [2, 3]


async def test_without_a_time_limit_nothing_is_dropped():
    stream = Running()
    stream.put(1, 2, 3, 4)
    room = Room(stream.outbox, grace_s=None)
    async with stream.sending():
        await asyncio.sleep(10 * MS)
        assert not room.free.is_set()
        for number in (1, 2, 3, 4):
            await stream.gateway.answer(number)
        await room.free.wait()
    assert stream.connection.sent == [1, 2, 3, 4]


async def test_a_burst_that_is_answered_in_time_loses_nothing():
    stream = Running()
    stream.put(1, 2, 3, 4, 5)
    room = Room(stream.outbox, grace_s=1e6)
    async with stream.sending():
        for number in range(1, 6):
            await stream.gateway.answer(number)
        await room.free.wait()
    assert stream.connection.sent == [1, 2, 3, 4, 5]


@on_virtual_loop
async def test_windows_sent_while_the_loop_is_late_are_not_dropped(loop):
    stream = Running()
    stream.put(1, 2, 3)
    room = Room(stream.outbox, grace_s=MS)
    async with stream.sending():
        for number in (1, 2, 3):
            await stream.gateway.answer(number)
        loop.work(1.0)
        await room.free.wait()
    assert stream.connection.sent == [1, 2, 3]


async def test_cancel_withdraws_what_is_not_sent():
    stream = Running()
    stream.put(1, 2, 3)
    await asyncio.sleep(0)
    assert sorted(stream.gateway.requests) == [2, 3]
    stream.outbox.cancel()
    await asyncio.sleep(0)
    assert stream.gateway.cancelled == [2, 3]


async def test_windows_that_were_not_computed_take_no_room_and_are_not_requested():
    stream = Running()
    stream.put(1, 2, 3, 4, computed=False)
    assert not stream.outbox.full
    async with stream.sending():
        pass
    assert stream.connection.sent == [-1, -2, -3, -4]
    assert stream.gateway.requests == {}


async def test_warnings_take_no_room():
    stream = Running()
    for _ in range(10):
        stream.outbox.put(WARNING)
    stream.put(1)
    assert not stream.outbox.full


@pytest.mark.parametrize(("error", "reason"), [(Busy("full"), "overload"), (Late("late"), "late")])
async def test_a_rejected_window_is_dropped_with_its_reason(error, reason):
    stream = Running()
    async with stream.sending():
        stream.put(1)
        await stream.gateway.answer(1, error)
    assert stream.connection.sent == [-1]
    assert stream.connection.reasons == [reason]
    assert stream.account.dropped + stream.account.windows == 1
    assert stream.gateway.load_shedder.duration_s(time.monotonic()) > 0


async def test_with_complete_a_full_queue_is_retried(monkeypatch):
    monkeypatch.setattr(outbox, "RETRY_S", 0)
    stream = Running(complete=True)
    async with stream.sending():
        stream.put(1)
        for outcome in (Busy("full"), Busy("full"), PREDICTION):
            await stream.gateway.answer(1, outcome)
    assert stream.connection.sent == [1]


async def test_an_answer_that_the_loop_handles_too_late_is_dropped():
    stream = Running()
    async with stream.sending():
        late = window(1)
        late.deadline = 0.0
        stream.outbox.put(late)
        await stream.gateway.answer(1)
    assert stream.connection.reasons == ["late"]


async def test_a_fault_of_the_model_ends_the_sending():
    stream = Running()
    stream.put(1)
    sending = asyncio.create_task(stream.outbox.run())
    await stream.gateway.answer(1, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await sending
