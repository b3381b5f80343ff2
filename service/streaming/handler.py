"""State machine of one live stream: reads audio, makes windows, sends the results, closes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

from aiohttp import WSCloseCode

from common.errors import Leaving, NotAllowed, TimbreError
from service import protocol
from service.inference.gateway import Gateway
from service.inference.loop_monitor import Turn
from service.inference.registry import VersionFollower
from service.log import log, unexpected
from service.streaming.accounting import SampleAccount
from service.streaming.connection import Connection, ConnectionLost
from service.streaming.outbox import Outbox
from service.streaming.windower import Event, LiveWindow, Windower

Result = TypeVar("Result")

OVERLOAD_GRACE = 0.25
"""Share of the hop that the outbox may stay over its bound before the oldest window is dropped: a
burst is not overload."""
CLOSE_CODES: dict[protocol.EndReason, int] = {
    "client ended": WSCloseCode.OK,
    "idle": WSCloseCode.POLICY_VIOLATION,
    "server leaves": WSCloseCode.GOING_AWAY,
}


class LiveStream:
    """One stream on one connection: one task reads and makes windows, another sends results."""

    def __init__(self, gateway: Gateway, follower: VersionFollower, connection: Connection) -> None:
        self.id = gateway.new_id()
        self._gateway = gateway
        self._settings = gateway.settings
        self._follower = follower
        self._connection = connection
        self._outbox: Outbox
        self._reader: asyncio.Task[Any] | None = None
        self._shutting_down = False
        self._receiving = True
        self._turn = Turn(gateway.loop_monitor)

    async def run(self, *, client: str, key_limit: AbstractAsyncContextManager[None]) -> None:
        """Serve the stream from `start` to the close; releases everything however it ends.

        key_limit: counts the stream for its API key while it lasts.
        """
        try:
            with self._gateway.streaming(self, client):
                async with key_limit:
                    reason = await self._serve()
            await self._connection.close(CLOSE_CODES[reason])
        except ConnectionLost as error:
            log("stream lost", stream=self.id, reason=error)
        except TimbreError as error:
            log("stream rejected", stream=self.id, reason=error)
            await self._connection.reject(error)
        except Exception as error:  # noqa: BLE001 - a fault ends this stream, not the gateway
            await self._connection.reject(unexpected(error))

    def shut_down(self) -> None:
        """End soon: nothing more is read, accepted windows are answered."""
        self._shutting_down = True
        # A message that is being processed is accepted.
        if self._reader and self._receiving:
            self._reader.cancel()

    async def _serve(self) -> protocol.EndReason:
        """Return why the stream ended, the summary sent.

        Raises TimbreError to be reported to the client, ConnectionLost.
        """
        opened = await self._interruptible(self._open())
        if opened.cancelled():
            raise Leaving("the server is shutting down")
        start, windower = opened.result()
        self._outbox = Outbox(
            self._gateway,
            self._connection,
            windower.account,
            stream=self.id,
            model_rate=self._follower.model.sound[0].sample_rate,
            complete=start.on_overload == "complete",
        )
        sending = asyncio.create_task(self._outbox.run())
        try:
            reading = await self._interruptible(self._read_all(start, windower), sending)
            return await self._finish(windower, reading, sending)
        finally:
            await _cancel(sending)
            self._outbox.cancel()
            # An exception's traceback keeps this frame in a reference cycle until the next garbage
            # collection.
            windower.release()

    async def _finish(
        self,
        windower: Windower,
        reading: asyncio.Task[protocol.EndReason],
        sending: asyncio.Task[None],
    ) -> protocol.EndReason:
        """Send the results of accepted windows, then the summary."""
        if sending.done():
            sending.result()
        error = None if reading.cancelled() else reading.exception()
        if error and not isinstance(error, TimbreError):
            raise error
        if not error:
            self._put(windower.finish(), arrived=time.monotonic(), begin=time.perf_counter())
        self._outbox.close()
        await sending
        if error:
            raise error
        reason: protocol.EndReason = "server leaves" if reading.cancelled() else reading.result()
        await self._connection.send(summary(windower.account, reason))
        log("stream ended", stream=self.id, reason=reason, windows=windower.account.windows)
        return reason

    async def _interruptible(
        self, work: Coroutine[Any, Any, Result], *others: asyncio.Task[None]
    ) -> asyncio.Task[Result]:
        """Return the finished task of `work`; `shut_down` or the end of another task cancels it."""
        self._reader = task = asyncio.create_task(work)
        if self._shutting_down:
            task.cancel()
        try:
            await asyncio.wait((task, *others), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(task)
        return task

    async def _open(self) -> tuple[protocol.Start, Windower]:
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
        await self._connection.send(ready)
        details = {"model": model.name, "rate": start.sample_rate, "hop": ready.hop}
        log("stream started", stream=self.id, **details)
        return start, windower

    async def _read_all(self, start: protocol.Start, windower: Windower) -> protocol.EndReason:
        """Read until the client ends or is idle.

        Raises TimbreError on an invalid message, ConnectionLost.
        """
        grace_s = None if start.on_overload == "complete" else OVERLOAD_GRACE * start.hop
        while not self._shutting_down:
            self._receiving = True
            try:
                message = await self._connection.receive(timeout_s=self._settings.idle_timeout)
            except TimeoutError:
                return "idle"
            self._receiving = False
            if isinstance(message, bytes):
                await self._process(windower, message, grace_s=grace_s)
            elif isinstance(message, protocol.Stop):
                return "client ended"
            else:
                raise NotAllowed("a second `start`; open another stream for other audio")
        return "server leaves"

    async def _process(self, windower: Windower, message: bytes, *, grace_s: float | None) -> None:
        """Split a binary message into windows; wait while too many are pending."""
        arrived = self._turn.begin()
        if grace_s is not None:
            windower.shedding = self._turn.shedding
        parts = windower.feed(message)
        while True:
            await self._turn.wait()
            begin = time.perf_counter()
            if (events := next(parts, None)) is None:
                break
            self._put(events, arrived=arrived, begin=begin)
            await self._outbox.drain(grace_s=grace_s)
        self._turn.end()

    def _put(self, events: list[Event], *, arrived: float, begin: float) -> None:
        features_ms = 1e3 * (time.perf_counter() - begin)
        for event in events:
            if isinstance(event, LiveWindow):
                if why := self._follower.follow():
                    at = event.start_sample
                    self._outbox.put(protocol.Warn(kind="version", detail=why, from_sample=at))
                event.arrived, event.features_ms = arrived, features_ms
                event.model = self._follower.model
            self._outbox.put(event)


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
