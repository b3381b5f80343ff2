"""Windows of one stream on their way to the client: requested ahead, answered in order, bounded."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from common.errors import Busy, Late, TimbreError
from features.config import Tensor
from service import protocol
from service.inference.gateway import Gateway, Prediction
from service.label_events import EventReporter
from service.streaming.accounting import SampleAccount
from service.streaming.connection import Connection
from service.streaming.stream_counter import StreamCounter
from service.streaming.window_trace import begin_trace, end_trace, fail_window
from service.streaming.windower import Event, LiveWindow
from service.tracing.spans import current

RETRY_S = 0.05
"""Seconds before a request is repeated that a full queue rejected."""


class Outbox:
    """Queue between the turns of the processor and the task that sends their results."""

    def __init__(
        self,
        gateway: Gateway,
        connection: Connection,
        account: SampleAccount,
        *,
        stream: str,
        model_rate: int,
        complete: bool,
        counter: StreamCounter,
        reporter: EventReporter | None = None,
        sends_events: bool = True,
    ) -> None:
        """model_rate: Hertz of the windows' positions. reporter: makes the events, if any.

        counter: of what is sent.

        sends_events: to the client; else they are only published.

        complete: no window is dropped under overload; the client is slowed down instead.
        """
        self._gateway = gateway
        self._connection = connection
        self._account = account
        self._stream = stream
        self._model_rate = model_rate
        self._complete = complete
        self._counter = counter
        self._reporter, self._sends_events = reporter, sends_events
        self._queue: deque[Event] = deque()
        self._pending: deque[LiveWindow] = deque()
        """Windows in the queue that are not dropped; `max_waiting` bounds them."""
        self._added = asyncio.Event()
        self._resume = _nothing
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._sending = False
        self._trace = current.get()
        """Span of the request; None: nothing is traced."""

    @property
    def full(self) -> bool:
        """Whether more windows are pending than may be."""
        return len(self._pending) > self._gateway.settings.max_waiting

    def put(self, event: Event) -> None:
        """Add an event at the end, also when full; see `when_free`."""
        if self._trace is not None:
            begin_trace(self._trace, event, stream_id=self._stream)
        if isinstance(event, LiveWindow) and event.tensor is not None:
            # With `complete` one window is requested at a time, so that none is replaced.
            if not self._complete and (self._queue or self._sending):
                event.request = asyncio.create_task(self._infer(event, event.tensor))
            self._pending.append(event)
        self._queue.append(event)
        self._added.set()

    def when_free(self, resume: Callable[[], None], *, grace_s: float | None) -> None:
        """Call `resume` once this is no longer full.

        After `grace_s` seconds the oldest pending window is dropped for it; None: never.
        """
        self._resume = resume
        if grace_s is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(grace_s, self._drop_oldest, grace_s)

    def _drop_oldest(self, grace_s: float) -> None:
        # When the event loop is late, others may have been sent since.
        if self.full:
            oldest = self._pending.popleft()
            # It keeps its place in the queue, so that drops are reported in order.
            oldest.tensor = None
            oldest.cancel()
            self._removed()
        if self.full:
            self.when_free(self._resume, grace_s=grace_s)

    def _removed(self) -> None:
        if not self.full and self._resume is not _nothing:
            resume, self._resume = self._resume, _nothing
            if self._timer:
                self._timer.cancel()
            resume()

    async def run(self) -> None:
        """Send until closed and empty. Raises ConnectionLost, or what the model raises."""
        while (event := await self._next()) is not None:
            self._sending = True
            message = await self._result(event) if isinstance(event, LiveWindow) else event
            # Before it is sent: what a client has received is counted, also if we are killed.
            self._counter.sent(message)
            await self._connection.send(message)
            if self._trace is not None:
                end_trace(self._trace, event, message)
            if self._reporter:
                await self._send_events(_events_of(self._reporter, event, message))
            self._sending = False
        if self._reporter:
            await self._send_events(self._reporter.finish())

    async def _send_events(self, messages: list[protocol.LabelEvent]) -> None:
        for message in messages:
            self._counter.began(message)
            if self._sends_events:
                await self._connection.send(message)

    def close(self) -> None:
        """Accept nothing more; `run` sends the rest and returns."""
        self._closed = True
        self._added.set()

    def cancel(self) -> None:
        """Cancel the requests of everything that is not sent; nothing more is counted."""
        self._resume = _nothing
        if self._timer:
            self._timer.cancel()
        self._counter.close()
        for window in self._pending:
            window.cancel()
        self._queue.clear()
        self._pending.clear()

    async def _next(self) -> Event | None:
        """Remove and return the first event, None once closed and empty."""
        while not self._queue:
            if self._closed:
                return None
            self._added.clear()
            await self._added.wait()
        event = self._queue.popleft()
        if self._pending and self._pending[0] is event:
            self._pending.popleft()
            self._removed()
        return event

    async def _result(self, window: LiveWindow) -> protocol.ServerMessage:
        if window.tensor is None:
            return self._drop(window, "overload")
        try:
            prediction = await (window.request or self._infer(window, window.tensor))
        except (Busy, Late) as error:
            # Not counted for its model: what its queue rejects, `check_wait` sees for clips too.
            self._gateway.load_shedder.record(time.monotonic())
            return self._drop(window, "overload" if isinstance(error, Busy) else "late")
        except TimbreError as error:
            if window.trace is not None:
                fail_window(window.trace, type(error).__name__)
            raise
        # The answer may have come in time and the event loop been late.
        if time.monotonic() > window.deadline:
            return self._drop(window, "late")
        return self._answer(window, prediction)

    async def _infer(self, window: LiveWindow, tensor: Tensor) -> Prediction:
        """Return the prediction. Raises Late; and Busy, unless `complete`."""
        assert window.model is not None  # set before it is put
        settings = self._gateway.settings
        while True:
            try:
                return await self._gateway.infer(
                    window.model,
                    tensor,
                    deadline=min(window.deadline, time.monotonic() + settings.clip_deadline),
                    live=True,
                    stream=self._stream,
                    trace=window.trace,
                )
            except Busy:
                if not self._complete:
                    raise
                await asyncio.sleep(RETRY_S)

    def _drop(self, window: LiveWindow, reason: protocol.DropReason) -> protocol.Dropped:
        self._account.drop(window.start_sample, window.end_sample)
        return protocol.Dropped(
            from_sample=window.start_sample, to_sample=window.end_sample, reason=reason
        )

    def _answer(self, window: LiveWindow, prediction: Prediction) -> protocol.Window:
        self._account.answer(window.start_sample, window.end_sample)
        return protocol.Window(
            start=round(window.start / self._model_rate, 6),
            end=round(window.end / self._model_rate, 6),
            start_sample=window.start_sample,
            end_sample=window.end_sample,
            scores=prediction.scores,
            labels=prediction.labels,
            version=prediction.version,
            age_ms=protocol.Age(
                total=round(1e3 * (time.monotonic() - window.due), 3),
                waiting=round(window.waiting_ms, 3),
                features=round(window.features_ms, 3),
                queue=round(prediction.queue_ms, 3),
                model=round(prediction.model_ms, 3),
            ),
        )


def _events_of(
    reporter: EventReporter, event: Event, message: protocol.ServerMessage
) -> list[protocol.LabelEvent]:
    if isinstance(message, protocol.Dropped):
        return reporter.missed(message.to_sample)
    if not isinstance(message, protocol.Window):
        return []
    if message.version != reporter.version and isinstance(event, LiveWindow) and event.model:
        reporter.use(message.version, event.model.manifest.labels)
    return reporter.answered(message)


def _nothing() -> None:
    """Resume nobody."""
