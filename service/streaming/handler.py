"""One live stream from `start` to the close."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeVar

from aiohttp import WSCloseCode

from common.errors import Leaving, NotAllowed, TimbreError
from service import protocol
from service.inference.gateway import Gateway
from service.inference.registry import VersionFollower
from service.label_events import EventReporter
from service.log import bound, log, unexpected
from service.streaming.accounting import SampleAccount
from service.streaming.connection import Connection, ConnectionLost
from service.streaming.outbox import Outbox
from service.streaming.processor import AudioProcessor
from service.streaming.stream_counter import StreamCounter
from service.streaming.window_trace import end_stream, fail_stream
from service.streaming.windower import Windower
from service.tracing.spans import current

Result = TypeVar("Result")

CLOSE_CODES: dict[protocol.EndReason, int] = {
    "client ended": WSCloseCode.OK,
    "idle": WSCloseCode.POLICY_VIOLATION,
    "server leaves": WSCloseCode.GOING_AWAY,
}


class LiveStream:
    """One stream on one connection: a task waits for its end, another sends results.

    Audio is read by the turns of its processor.
    """

    def __init__(self, gateway: Gateway, follower: VersionFollower, connection: Connection) -> None:
        self.id = gateway.new_id()
        self._gateway = gateway
        self._settings = gateway.settings
        self._follower = follower
        self._connection = connection
        self._waiting: asyncio.Task[Any] | None = None
        self._shutting_down = False

    async def run(self, *, client: str, key_limit: AbstractAsyncContextManager[None]) -> None:
        """Serve the stream from `start` to the close; releases everything however it ends.

        key_limit: counts the stream for its API key while it lasts.
        """
        bound.set({**bound.get(), "stream": self.id})
        try:
            with self._gateway.streaming(self, client, model=self._follower.model.name):
                async with key_limit:
                    reason = await self._serve()
            await self._connection.close(CLOSE_CODES[reason])
        except ConnectionLost as error:
            log("stream lost", stream=self.id, reason=error)
        except TimbreError as error:
            log("stream rejected", stream=self.id, reason=error)
            fail_stream(current.get(), error)
            await self._connection.reject(error)
        except Exception as error:  # noqa: BLE001 - a fault ends this stream, not the gateway
            fault = unexpected(error)
            fail_stream(current.get(), fault)
            await self._connection.reject(fault)

    def shut_down(self) -> None:
        """End soon: nothing more is read, accepted windows are answered."""
        self._shutting_down = True
        if self._waiting:
            self._waiting.cancel()

    async def _serve(self) -> protocol.EndReason:
        """Return why the stream ended, the summary sent.

        Raises TimbreError to be reported to the client, ConnectionLost.
        """
        opened = await self._interruptible(self._open())
        if opened.cancelled():
            raise Leaving("the server is shutting down")
        start, windower, reporter = opened.result()
        outbox = self._outbox(start, windower, reporter)
        inbox = self._connection.inbox
        processor = AudioProcessor(self._gateway, self._follower, start, inbox, windower, outbox)
        sending = asyncio.create_task(outbox.run())
        try:
            reading = await self._interruptible(self._wait_for_end(), sending, processor.fault)
            error = None if reading.cancelled() else reading.exception()
            await self._finish(processor, outbox, sending, error)
            reason = "server leaves" if reading.cancelled() else reading.result()
            await self._connection.send(summary(windower.account, reason))
            log("stream ended", stream=self.id, reason=reason, windows=windower.account.windows)
            end_stream(current.get(), reason, windower.account)
            return reason
        finally:
            # An exception's traceback keeps this frame in a reference cycle until the next garbage
            # collection. Before anything is awaited: a disconnect cancels this task.
            processor.release()
            outbox.cancel()
            await _cancel(sending)

    def _outbox(
        self, start: protocol.Start, windower: Windower, reporter: EventReporter | None
    ) -> Outbox:
        model = self._follower.model
        counter = StreamCounter(
            self._gateway.metrics,
            windower.account,
            model=model.name,
            sample_rate=start.sample_rate,
        )
        return Outbox(
            self._gateway,
            self._connection,
            windower.account,
            stream=self.id,
            model_rate=model.sound[0].sample_rate,
            complete=start.on_overload == "complete",
            counter=counter,
            reporter=reporter,
            sends_events=start.events,
        )

    async def _finish(
        self,
        processor: AudioProcessor,
        outbox: Outbox,
        sending: asyncio.Task[None],
        error: BaseException | None,
    ) -> None:
        """Process what was read and send the results; then raise what ended the reading."""
        if not sending.done():
            finishing = asyncio.create_task(processor.finish())
            await asyncio.wait((finishing, sending), return_when=asyncio.FIRST_COMPLETED)
            await _cancel(finishing)
        if sending.done():
            sending.result()
        fault = processor.fault.exception() if processor.fault.done() else error
        if fault and not isinstance(fault, TimbreError):
            raise fault
        outbox.close()
        await sending
        if fault:
            raise fault

    async def _interruptible(
        self, work: Coroutine[Any, Any, Result], *others: asyncio.Future[None]
    ) -> asyncio.Task[Result]:
        """Return the finished task of `work`; `shut_down` or the end of another cancels it."""
        self._waiting = task = asyncio.create_task(work)
        if self._shutting_down:
            task.cancel()
        ends: list[asyncio.Future[Any]] = [task, *others]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(task)
        return task

    async def _open(self) -> tuple[protocol.Start, Windower, EventReporter | None]:
        """Read `start`, answer `ready`."""
        try:
            start = await self._connection.receive(timeout_s=self._settings.start_timeout)
        except TimeoutError:
            raise NotAllowed(f"no `start` within {self._settings.start_timeout:g} s") from None
        if not isinstance(start, protocol.Start):
            raise NotAllowed("the first message must be `start`")
        model, (config, kind) = self._follower.model, self._follower.model.sound
        windower = Windower(
            start,
            config=config,
            kind=kind,
            min_hop=self._settings.min_hop,
            warn_every=self._settings.warn_every,
        )
        ready = protocol.Ready(
            stream=self.id,
            model=model.name,
            version=model.version,
            labels=tuple(model.labels),
            window=config.window / config.sample_rate,
            hop=windower.hop / config.sample_rate,
            sample_rate=config.sample_rate,
        )
        reporter = None
        if start.events or start.publish:
            publish = partial(self._gateway.feed.publish, model=model.name)
            reporter = EventReporter(
                model.manifest.labels, start, ready, publish=publish if start.publish else None
            )
        await self._connection.send(ready)
        details = {"model": model.name, "rate": start.sample_rate, "hop": ready.hop}
        log("stream started", stream=self.id, **details)
        return start, windower, reporter

    async def _wait_for_end(self) -> protocol.EndReason:
        """Wait until the client ends or is idle.

        Raises TimbreError on an invalid message, ConnectionLost.
        """
        try:
            message = await self._connection.receive(timeout_s=self._settings.idle_timeout)
        except TimeoutError:
            return "idle"
        if isinstance(message, protocol.Stop):
            return "client ended"
        raise NotAllowed("a second `start`; open another stream for other audio")


def summary(account: SampleAccount, reason: protocol.EndReason) -> protocol.Summary:
    """Return the last message of a stream."""
    return protocol.Summary(
        reason=reason,
        samples_received=account.received,
        samples_processed=account.processed,
        samples_dropped=account.dropped,
        samples_tail=account.tail,
        windows=account.windows,
    )


async def _cancel(task: asyncio.Task[Any]) -> None:
    """Cancel and wait."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # retrieved, so that asyncio does not log it
