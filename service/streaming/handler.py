"""A live stream over WebSocket: one client's audio in, an answer for every window out."""

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
from service.log import log, unexpected
from service.streaming.accounting import SampleAccount
from service.streaming.connection import Connection, ConnectionLost
from service.streaming.outbox import Outbox, PendingWindow
from service.streaming.sender import Sender
from service.streaming.version_follower import VersionFollower
from service.streaming.windower import Event, LiveWindow, Windower

Result = TypeVar("Result")

PATIENCE = 0.25
"""Share of the hop that a new window waits for room before the oldest is dropped: a burst is no
overload."""
CLOSE_CODES: dict[protocol.EndReason, int] = {
    "client ended": WSCloseCode.OK,
    "idle": WSCloseCode.POLICY_VIOLATION,
    "server leaves": WSCloseCode.GOING_AWAY,
}


class LiveStream:
    """The conversation on one channel: one task reads and cuts, another asks and tells."""

    def __init__(self, gateway: Gateway, following: VersionFollower, channel: Connection) -> None:
        self.id = gateway.new_id()
        self._gateway = gateway
        self._settings = gateway.settings
        self._follower = following
        self._channel = channel
        self._room: Outbox
        self._reader: asyncio.Task[Any] | None = None
        self._leaving = False
        self._listening = True
        self._turn = Turn(gateway.loop_monitor)

    async def run(self, *, client: str, permit: AbstractAsyncContextManager[None]) -> None:
        """Speak from `start` to the close. Whatever happens, nothing is left behind."""
        try:
            with self._gateway.streaming(self, client):
                async with permit:
                    reason = await self._converse()
            await self._channel.close(CLOSE_CODES[reason])
        except ConnectionLost as gone:
            log("stream gone", stream=self.id, why=gone)
        except TimbreError as error:
            log("stream refused", stream=self.id, why=error)
            await self._channel.refuse(error)
        except Exception as error:  # noqa: BLE001 - a fault ends this stream, not the gateway
            await self._channel.refuse(unexpected(error))

    def shut_down(self) -> None:
        """End soon: no more is read, what was accepted is answered."""
        self._leaving = True
        # A message that is being worked on is accepted.
        if self._reader and self._listening:
            self._reader.cancel()

    async def _converse(self) -> protocol.EndReason:
        """Return why it ended, all told. Raises TimbreError to be told to the client, Gone."""
        opened = await self._leavable(self._open())
        if opened.cancelled():
            raise Leaving("the server is shutting down")
        start, session = opened.result()
        teller = Sender(
            self._gateway,
            stream=self.id,
            complete=start.on_overload == "complete",
            ledger=session.account,
        )
        self._room = Outbox(limit=self._settings.max_waiting, ask=teller.ask_ahead)
        telling = asyncio.create_task(teller.run(self._room, self._channel))
        try:
            reading = await self._leavable(self._read_all(start, session), telling)
            return await self._finish(session, reading, telling)
        finally:
            await _cancel(telling)
            self._room.clear()
            # An error that ended us holds on to all of this, in a circle, until somebody looks for
            # those.
            session.release()

    async def _finish(
        self,
        session: Windower,
        reading: asyncio.Task[protocol.EndReason],
        telling: asyncio.Task[None],
    ) -> protocol.EndReason:
        """Tell what was accepted, then how it ended."""
        if telling.done():
            telling.result()
        error = None if reading.cancelled() else reading.exception()
        if error and not isinstance(error, TimbreError):
            raise error
        if not error:
            self._put(session.finish(), arrived=time.monotonic(), begin=time.perf_counter())
        self._room.close()
        await telling
        if error:
            raise error
        reason: protocol.EndReason = "server leaves" if reading.cancelled() else reading.result()
        await self._channel.send(summary(session.account, reason))
        log("stream ended", stream=self.id, reason=reason, windows=session.account.windows)
        return reason

    async def _leavable(
        self, work: Coroutine[Any, Any, Result], *others: asyncio.Task[None]
    ) -> asyncio.Task[Result]:
        """Return the task of `work` once it is done; `leave` cancels it, and so does the end of another task."""
        self._reader = task = asyncio.create_task(work)
        if self._leaving:
            task.cancel()
        try:
            await asyncio.wait((task, *others), return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel(task)
        return task

    async def _open(self) -> tuple[protocol.Start, Windower]:
        """Read `start`, answer `ready`."""
        try:
            start = await self._channel.receive(seconds=self._settings.start_timeout)
        except TimeoutError:
            raise NotAllowed(f"no `start` within {self._settings.start_timeout:g} s") from None
        if not isinstance(start, protocol.Start):
            raise NotAllowed("the first message must be `start`")
        model, (config, kind) = self._follower.model, self._follower.model.sound
        session = Windower(
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
            hop=session.hop / config.sample_rate,
            sample_rate=config.sample_rate,
        )
        await self._channel.send(ready)
        log(
            "stream begins", stream=self.id, model=model.name, rate=start.sample_rate, hop=ready.hop
        )
        return start, session

    async def _read_all(self, start: protocol.Start, session: Windower) -> protocol.EndReason:
        """Read until the client ends or is idle. Raises TimbreError on what must not come, Gone."""
        patience = None if start.on_overload == "complete" else PATIENCE * start.hop
        while not self._leaving:
            self._listening = True
            try:
                message = await self._channel.receive(seconds=self._settings.idle_timeout)
            except TimeoutError:
                return "idle"
            self._listening = False
            if isinstance(message, bytes):
                await self._take(session, message, patience=patience)
            elif isinstance(message, protocol.Stop):
                return "client ended"
            else:
                raise NotAllowed("a second `start`; open another stream for other audio")
        return "server leaves"

    async def _take(self, session: Windower, frame: bytes, *, patience: float | None) -> None:
        """Cut a message into windows; wait while too many wait."""
        arrived = self._turn.begin()
        if patience is not None:
            session.thinning = self._turn.shedding
        parts = session.take(frame)
        while True:
            await self._turn.wait()
            begin = time.perf_counter()
            if (events := next(parts, None)) is None:
                break
            self._put(events, arrived=arrived, begin=begin)
            await self._room.room(patience=patience)
        self._turn.end()

    def _put(self, events: list[Event], *, arrived: float, begin: float) -> None:
        features_ms = 1e3 * (time.perf_counter() - begin)
        for event in events:
            thinned = isinstance(event, LiveWindow) and event.tensor is None
            if isinstance(event, LiveWindow) and (why := self._follower.follow()):
                warning = protocol.Warn(kind="version", detail=why, from_sample=event.start_sample)
                self._room.put(PendingWindow(warning, arrived, features_ms))
            waiting = PendingWindow(
                event, arrived, features_ms, dropped=thinned, model=self._follower.model
            )
            self._room.put(waiting)


def summary(ledger: SampleAccount, reason: protocol.EndReason) -> protocol.Summary:
    """Return the last message of a stream."""
    return protocol.Summary(
        reason=reason,
        samples_received=ledger.received,
        samples_processed=ledger.processed,
        samples_dropped=ledger.dropped,
        samples_tail=ledger.tail,
        windows=ledger.windows,
    )


async def _cancel(task: asyncio.Task[Any]) -> None:
    """Cancel and wait; an outcome that nobody asks for is no news."""
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()
