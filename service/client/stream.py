"""The client's end of one live stream: what goes out, what comes back, and how it survives a lost socket."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from time import monotonic

import aiohttp
import numpy.typing as npt

from common.errors import Busy, InputError, Leaving, TimbreError
from service.client.events import End, Event, Lost, Reconnect
from service.client.replay import AnsweredWindows, ReplayBuffer
from service.client.transport import (
    Socket,
    Unreachable,
    connect,
    error_of_close,
    handshake,
    refusal,
)
from service.encodings import encode as encode_samples
from service.encodings import frame_bytes
from service.protocol import (
    Dropped,
    Failure,
    Ready,
    Start,
    Stop,
    Summary,
    Warn,
    Window,
    encode,
    parse_server,
)

KEEP_S = 60
"""Sound without an answer that is kept for replay; past it the oldest is dropped, and reported."""
PATIENCE_S = 300.0
"""How long a stream tries to come back before it gives up."""
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
SEND_BYTES = 65_536
REPLAY_AHEAD = 6
"""Windows on their way while a replay catches up: faster, and a server that favours the latest
would drop them."""
EVENTS_WAITING = 10_000
"""Events kept for a caller who does not read them; then the server has to wait."""


class Stream:
    """One live stream: `send` sound, iterate over its events, `finish`. Made by `Client.stream`.

    Read the events while you send. They end with `End`, or raise the error that ended the stream.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, start: Start, *, patience_s: float
    ) -> None:
        self.windows = self.dropped = self.reconnects = 0
        self._session, self._url, self._start, self._patience_s = session, url, start, patience_s
        self._tape = ReplayBuffer(
            frame_bytes=frame_bytes(start.encoding, start.channels),
            capacity=KEEP_S * start.sample_rate,
        )
        self._ledger: AnsweredWindows | None = None
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue(EVENTS_WAITING)
        self._fed, self._room, self._over = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._attempt = 0
        self._trouble_since: float | None = None
        self._finishing = False
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def captured(self) -> int:
        """Samples taken in so far."""
        return self._tape.end

    async def open(self) -> None:
        """Connect without patience, so that a wrong address or a refusal is known at once."""
        self._socket, first_sample = await self._connect()
        self._task = asyncio.create_task(self._run(self._socket, first_sample))

    async def close(self) -> None:
        """Let go of the connection, finished or not."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            # A task that is cancelled before its first step closes nothing.
            await self._socket.close()

    async def send(self, samples: npt.ArrayLike | bytes) -> None:
        """Take in bytes in the stream's encoding, or float samples in [-1, 1], shape (n,) or (n, channels).

        Raises the error that ended the stream, if it has ended.
        """
        data = samples if isinstance(samples, bytes) else self._encoded(samples)
        step = self._start.sample_rate * self._tape.frame_bytes
        for at in range(0, len(data), step):
            while (
                self._start.on_overload == "complete" and self._tape.room < self._start.sample_rate
            ):
                self._room.clear()
                await self._room.wait()
            if self._over.is_set():
                raise self._failure or InputError("the stream has ended")
            self._tape.append(data[at : at + step])
            self._fed.set()
            await asyncio.sleep(0)

    def _encoded(self, samples: npt.ArrayLike) -> bytes:
        start = self._start
        return encode_samples(samples, encoding=start.encoding, channels=start.channels)

    async def finish(self) -> None:
        """Say that no more sound comes, and wait until every event is there to be read."""
        self._finishing = True
        self._fed.set()
        await self._over.wait()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield the events in their order; `End` is the last."""
        while not (self._over.is_set() and self._events.empty()):
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event

    async def _run(self, socket: Socket, first_sample: int) -> None:
        try:
            while isinstance(ending := await self._converse(socket, first_sample), TimbreError):
                socket, first_sample = await self._reconnect(ending)
            await self._events.put(self._end(ending))
        except Exception as error:  # noqa: BLE001 - whatever ended the stream reaches the one who reads it
            self._failure = error
            await self._events.put(error)
        finally:
            self._over.set()
            self._room.set()

    async def _connect(self) -> tuple[Socket, int]:
        """Return a socket that is ready, and the sample to send first."""
        socket = await connect(self._session, self._url)
        try:
            first_sample = await self._resume()
            ready = await handshake(socket, replace(self._start, first_sample=first_sample))
        except BaseException:
            await socket.close()
            raise
        self._ledger = self._ledger or _ledger(self._start, ready)
        await self._events.put(ready)
        return socket, first_sample

    async def _resume(self) -> int:
        """Return the sample to replay from, having reported what is no longer there to be replayed."""
        if self._ledger is None:
            return 0
        # While the tape is full every new sample pushes out the oldest: stay a second ahead of
        # that.
        margin = max(0, self._start.sample_rate - self._tape.room)
        from_sample = self._ledger.start(self._ledger.next)
        first_sample, lost = self._ledger.resume(self._tape.start + margin)
        if lost:
            self.dropped += lost
            await self._events.put(
                Lost(from_sample=from_sample, to_sample=self._ledger.start(self._ledger.next))
            )
        return first_sample

    async def _reconnect(self, reason: TimbreError) -> tuple[Socket, int]:
        """Try until the server is back. Raises a refusal at once, the last trouble when patience is over."""
        self._trouble_since = self._trouble_since or monotonic()
        while isinstance(reason, Unreachable | Busy | Leaving):
            if monotonic() > self._trouble_since + self._patience_s:
                break
            wait_s = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2**self._attempt) * random.uniform(0.5, 1)  # noqa: S311
            self._attempt += 1
            await self._events.put(
                Reconnect(attempt=self._attempt, wait_s=round(wait_s, 3), detail=str(reason))
            )
            await asyncio.sleep(wait_s)
            try:
                connected = await self._connect()
            except TimbreError as error:
                reason = error
            else:
                self.reconnects += 1
                return connected
        raise reason

    async def _converse(self, socket: Socket, first_sample: int) -> Summary | TimbreError:
        """Send and receive until the server has said its last word, or return why the connection ended."""
        feeding = asyncio.create_task(self._feed(socket, first_sample))
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                event = parse_server(message.data)
                if isinstance(event, Failure):
                    return refusal(event)
                if isinstance(event, Summary):
                    return (
                        event
                        if event.reason == "client ended"
                        else Leaving(f"the server ended it: {event.reason}")
                    )
                await self._take(event)
            return error_of_close(socket)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await socket.close()

    async def _feed(self, socket: Socket, position: int) -> None:
        """Send what the tape holds from `position` on, then what is added to it, then the end."""
        replaying = True
        with suppress(ConnectionError):
            while position >= self._tape.start:
                replaying = replaying and position < self._tape.end
                data = self._tape.read(position, limit=self._allowed(position, replaying=replaying))
                if data:
                    position += len(data) // self._tape.frame_bytes
                    await socket.send_bytes(data)
                elif self._finishing and position == self._tape.end:
                    await socket.send_str(encode(Stop()))
                    return
                else:
                    self._fed.clear()
                    await self._fed.wait()
            # The server took so little for so long that sound fell off the tape: start anew after
            # the hole.
            await socket.close()

    def _allowed(self, position: int, *, replaying: bool) -> int:
        """Return how many samples may be sent from `position` on."""
        limit, ledger = SEND_BYTES // self._tape.frame_bytes, self._ledger
        if ledger is None or not replaying:
            return limit
        return min(
            limit,
            max(0, ledger.start(ledger.next + REPLAY_AHEAD) + math.ceil(ledger.window) - position),
        )

    async def _take(self, event: Ready | Window | Dropped | Warn) -> None:
        """Pass on what is new; a window that had its answer before the connection was lost comes again."""
        ledger = self._ledger
        assert ledger is not None  # set before the first message is read
        match event:
            case Window() if not ledger.answer(event.start_sample):
                return
            case Window():
                self.windows += 1
            case Dropped():
                count = ledger.drop(event.from_sample, event.to_sample)
                if not count:
                    return
                self.dropped += count
        self._tape.forget(ledger.needed())
        self._room.set()
        self._fed.set()
        self._attempt, self._trouble_since = 0, None
        await self._events.put(event)

    def _end(self, summary: Summary) -> End:
        return End(
            reason=summary.reason,
            samples=self.captured,
            windows=self.windows,
            dropped=self.dropped,
            reconnects=self.reconnects,
        )


def _ledger(start: Start, ready: Ready) -> AnsweredWindows:
    ratio = start.sample_rate / ready.sample_rate
    return AnsweredWindows(
        # Whole numbers at the model's rate; their seconds on the wire may have been rounded.
        hop=round(ready.hop * ready.sample_rate) * ratio,
        window=round(ready.window * ready.sample_rate) * ratio,
        sample_rate=start.sample_rate,
        model_rate=ready.sample_rate,
    )
