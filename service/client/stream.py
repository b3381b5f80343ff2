"""The client side of a live stream: sends sound, receives events, reconnects and replays."""

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

from common.backoff import pause_s
from common.errors import Busy, InputError, Leaving, TimbreError
from models.manifest import Label
from service.client.events import End, Event, Lost, Reconnect
from service.client.replay import AnsweredWindows, ReplayBuffer
from service.client.transport import (
    Socket,
    Unreachable,
    connect,
    error_of_close,
    handshake,
    rejection,
    request,
)
from service.encodings import encode as encode_samples
from service.encodings import frame_bytes
from service.label_events import EventReporter
from service.protocol import (
    Dropped,
    Failure,
    LabelEvent,
    Ready,
    Start,
    Stop,
    Summary,
    Warn,
    Window,
    encode,
    parse_server,
)

REPLAY_BUFFER_S = 60
"""Seconds of sound without a result kept for replay; past it the oldest is dropped and
reported."""
RECONNECT_TIMEOUT_S = 300.0
"""Seconds for which a stream tries to reconnect."""
FIRST_WAIT_S = 0.1
LONGEST_WAIT_S = 5.0
SEND_BYTES = 65_536
REPLAY_AHEAD = 6
"""Windows in flight while a replay catches up: with more, a server with on_overload=latest would
drop some."""
MAX_BUFFERED_EVENTS = 10_000
"""Events buffered for a caller that does not read them; then reading from the server stops."""


class Stream:
    """One live stream: `send` sound, iterate over its events, `finish`. Made by `Client.stream`.

    Read the events while you send. They end with `End`, or raise the error that ended the stream.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, start: Start, *, patience_s: float
    ) -> None:
        self.windows = self.dropped = self.reconnects = 0
        self._session, self._url, self._start, self._patience_s = session, url, start, patience_s
        self._buffer = ReplayBuffer(
            frame_bytes=frame_bytes(start.encoding, start.channels),
            capacity=REPLAY_BUFFER_S * start.sample_rate,
        )
        self._answered: AnsweredWindows | None = None
        self._reporter: EventReporter | None = None
        self._events: asyncio.Queue[Event | Exception] = asyncio.Queue(MAX_BUFFERED_EVENTS)
        self._data_added, self._space_freed, self._ended = (
            asyncio.Event(),
            asyncio.Event(),
            asyncio.Event(),
        )
        self._attempt = 0
        self._disconnected_since: float | None = None
        self._finishing = False
        self._failure: Exception | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def captured(self) -> int:
        """Samples sent so far, by `send`."""
        return self._buffer.end

    async def open(self) -> None:
        """Connect once, without retries: a wrong address or a rejection is raised at once."""
        self._socket, first_sample = await self._connect()
        self._task = asyncio.create_task(self._run(self._socket, first_sample))

    async def close(self) -> None:
        """Close the connection, finished or not."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            # A task that is cancelled before its first step closes nothing.
            await self._socket.close()

    async def send(self, samples: npt.ArrayLike | bytes) -> None:
        """Send bytes in the stream's encoding, or float samples in [-1, 1], (n,) or (n, channels).

        Raises the error that ended the stream, if it has ended.
        """
        data = samples if isinstance(samples, bytes) else self._encoded(samples)
        step = self._start.sample_rate * self._buffer.frame_bytes
        for at in range(0, len(data), step):
            while (
                self._start.on_overload == "complete"
                and self._buffer.room < self._start.sample_rate
            ):
                self._space_freed.clear()
                await self._space_freed.wait()
            if self._ended.is_set():
                raise self._failure or InputError("the stream has ended")
            self._buffer.append(data[at : at + step])
            self._data_added.set()
            await asyncio.sleep(0)

    def _encoded(self, samples: npt.ArrayLike) -> bytes:
        start = self._start
        return encode_samples(samples, encoding=start.encoding, channels=start.channels)

    async def finish(self) -> None:
        """End the stream, and wait until its last event can be read."""
        self._finishing = True
        self._data_added.set()
        await self._ended.wait()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield the events in order; `End` is the last."""
        while not (self._ended.is_set() and self._events.empty()):
            event = await self._events.get()
            if isinstance(event, Exception):
                raise event
            yield event

    async def _run(self, socket: Socket, first_sample: int) -> None:
        try:
            while isinstance(
                ending := await self._exchange_messages(socket, first_sample), TimbreError
            ):
                socket, first_sample = await self._reconnect(ending)
            if self._reporter:
                await self._put_all(self._reporter.finish())
            await self._events.put(self._end(ending))
        except Exception as error:  # noqa: BLE001 - the reader gets what ended the stream
            self._failure = error
            await self._events.put(error)
        finally:
            self._ended.set()
            self._space_freed.set()

    async def _connect(self) -> tuple[Socket, int]:
        """Return an accepted socket, and the first sample to send."""
        socket = await connect(self._session, self._url)
        try:
            first_sample = await self._resume()
            ready = await handshake(socket, self._request(first_sample))
            if self._start.events and self._reporter is None:
                self._reporter = EventReporter(await self._labels(), self._start, ready)
        except BaseException:
            await socket.close()
            raise
        self._answered = self._answered or _answered_windows(self._start, ready)
        await self._events.put(ready)
        return socket, first_sample

    def _request(self, first_sample: int) -> Start:
        """Return the `start` of a connection. Events are made here, so that they outlast it."""
        start = replace(self._start, first_sample=first_sample, events=False)
        return start if start.publish else replace(start, event_settings={})

    async def _labels(self) -> list[Label]:
        """Return the labels of the version served now."""
        model = await request(self._session, "GET", self._url.removesuffix("/stream"))
        return [Label(**label, events=model["events"][label["name"]]) for label in model["labels"]]

    async def _resume(self) -> int:
        """Return the sample to replay from; report windows whose sound is not buffered."""
        if self._answered is None:
            return 0
        # While the buffer is full every new sample drops the oldest: keep a second of margin.
        margin = max(0, self._start.sample_rate - self._buffer.room)
        from_sample = self._answered.start(self._answered.next)
        first_sample, lost = self._answered.resume(self._buffer.start + margin)
        if lost:
            self.dropped += lost
            to_sample = self._answered.start(self._answered.next)
            await self._events.put(Lost(from_sample=from_sample, to_sample=to_sample))
            if self._reporter:
                await self._put_all(self._reporter.missed(to_sample))
        return first_sample

    async def _reconnect(self, reason: TimbreError) -> tuple[Socket, int]:
        """Retry until connected. Raises a rejection at once, the last error after `patience_s`."""
        self._disconnected_since = self._disconnected_since or monotonic()
        while isinstance(reason, Unreachable | Busy | Leaving):
            if monotonic() > self._disconnected_since + self._patience_s:
                break
            wait_s = pause_s(self._attempt, first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S)
            wait_s *= random.uniform(0.5, 1)  # noqa: S311
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

    async def _exchange_messages(self, socket: Socket, first_sample: int) -> Summary | TimbreError:
        """Send and receive; return the summary, or the error that ended the connection."""
        feeding = asyncio.create_task(self._feed(socket, first_sample))
        try:
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                event = parse_server(message.data)
                if isinstance(event, Failure):
                    return rejection(event)
                if isinstance(event, Summary):
                    return (
                        event
                        if event.reason == "client ended"
                        else Leaving(f"the server ended it: {event.reason}")
                    )
                await self._forward(event)
            return error_of_close(socket)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            await socket.close()

    async def _feed(self, socket: Socket, position: int) -> None:
        """Send the buffer from `position` on, then what is appended to it, then the end."""
        replaying = True
        with suppress(ConnectionError):
            while position >= self._buffer.start:
                replaying = replaying and position < self._buffer.end
                data = self._buffer.read(
                    position, limit=self._allowed(position, replaying=replaying)
                )
                if data:
                    position += len(data) // self._buffer.frame_bytes
                    await socket.send_bytes(data)
                elif self._finishing and position == self._buffer.end:
                    await socket.send_str(encode(Stop()))
                    return
                else:
                    self._data_added.clear()
                    await self._data_added.wait()
            # The server read so slowly that sound was dropped from the buffer: reconnect after
            # the gap.
            await socket.close()

    def _allowed(self, position: int, *, replaying: bool) -> int:
        """Return how many samples may be sent from `position` on."""
        limit, answered = SEND_BYTES // self._buffer.frame_bytes, self._answered
        if answered is None or not replaying:
            return limit
        return min(
            limit,
            max(
                0,
                answered.start(answered.next + REPLAY_AHEAD)
                + math.ceil(answered.window)
                - position,
            ),
        )

    async def _forward(self, event: Ready | Window | LabelEvent | Dropped | Warn) -> None:
        """Forward new events; after a reconnect some windows come a second time."""
        answered = self._answered
        assert answered is not None  # set before the first message is read
        match event:
            case Window() if not answered.answer(event.start_sample):
                return
            case Window():
                self.windows += 1
            case Dropped():
                count = answered.drop(event.from_sample, event.to_sample)
                if not count:
                    return
                self.dropped += count
        self._buffer.forget(answered.needed())
        self._space_freed.set()
        self._data_added.set()
        self._attempt, self._disconnected_since = 0, None
        await self._events.put(event)
        if self._reporter:
            await self._put_all(await self._label_events(self._reporter, event))

    async def _label_events(self, reporter: EventReporter, event: Event) -> list[LabelEvent]:
        """Return what follows from a message."""
        if isinstance(event, Dropped):
            return reporter.missed(event.to_sample)
        if not isinstance(event, Window):
            return []
        if event.version != reporter.version:
            reporter.use(event.version, await self._labels())
        return reporter.answered(event)

    async def _put_all(self, events: list[LabelEvent]) -> None:
        for event in events:
            await self._events.put(event)

    def _end(self, summary: Summary) -> End:
        return End(
            reason=summary.reason,
            samples=self.captured,
            windows=self.windows,
            dropped=self.dropped,
            reconnects=self.reconnects,
        )


def _answered_windows(start: Start, ready: Ready) -> AnsweredWindows:
    ratio = start.sample_rate / ready.sample_rate
    return AnsweredWindows(
        # Whole numbers at the model's rate; their seconds on the wire may have been rounded.
        hop=round(ready.hop * ready.sample_rate) * ratio,
        window=round(ready.window * ready.sample_rate) * ratio,
        sample_rate=start.sample_rate,
        model_rate=ready.sample_rate,
    )
