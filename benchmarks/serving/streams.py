"""Many live streams at real speed against a running server: results, drops, losses and ages.

Open loop: every chunk is sent at its own time, however late the server is, and a window's age
counts from the time at which its last sample was due to be sent, so that waiting cannot hide.
"""

from __future__ import annotations

import asyncio
import math
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from heapq import heappop, heappush
from itertools import accumulate, count

import numpy as np

from benchmarks import signals
from benchmarks.serving import schedule, websocket
from features.resample import StreamingResampler
from service import protocol

LAST_RESULTS_S = 15.0
"""Seconds to wait for the last answers."""
TICK_S = 0.002
"""Seconds between two turns of sending."""
BUSY = "HTTP 503"
LOOP_S = 10
"""Seconds of sound that all streams repeat, each from a place of its own."""


@dataclass(kw_only=True)
class Load(schedule.LoadOptions):
    """The options of the load."""

    streams: int
    seconds: float = 60.0
    """Length of each."""
    hop: float = 0.5
    sample_rate: int = 16_000
    chunk: float = 0.1
    """Seconds of sound in one message."""
    longer: int = 0
    """Streams that go on when the others end."""
    extra: float = 0.0
    """Seconds for which they go on."""


@dataclass(kw_only=True)
class Tally(schedule.Results):
    """What happened to all streams together."""

    expected: int = 0
    """Windows of the sound that was sent; of streams that disconnected, those reported."""
    fates: Counter[str] = field(default_factory=Counter)
    """`answered`, and `dropped` by reason."""
    failed: Counter[str] = field(default_factory=Counter)
    """Streams that did not end as they should, by what happened."""
    busy: int = 0
    """Streams that the server did not accept."""
    difference_ms: list[float] = field(default_factory=list)
    """Between the age that the server reported and the one that was felt."""
    drop_times: list[float] = field(default_factory=list)
    """Seconds since the load began."""
    lag_ms: list[float] = field(default_factory=list)
    """How late this program itself sent: above a few ms it measures itself."""

    @property
    def missing(self) -> int:
        """Windows neither answered nor dropped."""
        return self.expected - self.fates.total()

    @property
    def dropped(self) -> int:
        """Windows that the server reported as dropped."""
        return self.fates.total() - self.fates["answered"]


def sound_of(load: Load) -> bytes:
    """Return the sound that all streams repeat."""
    return signals.pcm(signals.plucked(LOOP_S, rate=load.sample_rate))


async def run(url: str, load: Load, sound: bytes) -> Tally:
    """Run the streams and return what happened."""
    rng, tally = np.random.default_rng(0), Tally()
    starts = schedule.stream_times(load.streams, ramp=load.ramp, hop=load.hop, rng=rng)
    chunks = _chunks(load, sound)
    lengths = [load.seconds + load.extra * (n < load.longer) for n in range(len(starts))]
    streams = [_Stream(url, load, tally, chunks, rng, seconds=seconds) for seconds in lengths]
    sender, begin = _Sender(), time.monotonic()
    await asyncio.gather(
        *(stream.run(sender, begin, at) for stream, at in zip(streams, starts, strict=True))
    )
    return tally


def _chunks(load: Load, sound: bytes) -> list[bytes]:
    """Return the frames of the sound, one for each chunk."""
    size = 2 * round(load.chunk * load.sample_rate)
    return [
        websocket.frame(websocket.BINARY, sound[at : at + size])
        for at in range(0, len(sound) - size + 1, size)
    ]


class _Sender:
    """Calls functions at their times: one timer for all streams."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._number = count()
        self._waiting = False

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call at a time.monotonic(), or up to TICK_S later."""
        heappush(self._due, (when, next(self._number), call))
        if not self._waiting:
            self._wait()

    def _wait(self) -> None:
        self._waiting = True
        pause_s = max(TICK_S, self._due[0][0] - time.monotonic())
        asyncio.get_running_loop().call_later(pause_s, self._call)

    def _call(self) -> None:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heappop(self._due)[2]()
        self._waiting = False
        if self._due:
            self._wait()


class _Stream(websocket.Client):
    """One client with its microphone."""

    def __init__(
        self,
        url: str,
        load: Load,
        tally: Tally,
        chunks: list[bytes],
        rng: np.random.Generator,
        *,
        seconds: float,
    ) -> None:
        super().__init__(f"{url}/v1/models/{load.model}/stream")
        self._load, self._tally, self._chunks, self._seconds = load, tally, chunks, seconds
        self._plan = schedule.chunk_times(
            seconds, chunk=load.chunk, jitter=load.jitter, rng=rng
        ).tolist()
        self._from = int(rng.integers(len(chunks)))
        disconnects = rng.random() < load.drops
        self._last = int(rng.integers(len(self._plan))) if disconnects else None
        self._reported = 0
        self._sender: _Sender
        self._ready: protocol.Ready | None = None
        self._begin = self._since = 0.0
        self._over = asyncio.Event()

    async def run(self, sender: _Sender, since: float, start: float) -> None:
        """Live from `start` seconds after `since`, and count what becomes of it."""
        self._sender, self._since = sender, since
        await asyncio.sleep(since + start - time.monotonic())
        try:
            await self.connect()
            async with asyncio.timeout(self._seconds + self._load.jitter + LAST_RESULTS_S):
                await self._over.wait()
        except (OSError, TimeoutError) as error:
            self._fail(type(error).__name__)
        finally:
            self._over.set()
            if hasattr(self, "transport"):
                self.transport.abort()

    def opened(self) -> None:
        """Send `start`."""
        start = protocol.Start(sample_rate=self._load.sample_rate, hop=self._load.hop)
        self.transport.write(websocket.frame(websocket.TEXT, protocol.encode(start).encode()))

    def text(self, message: bytes) -> None:
        """Count a message of the server."""
        event = protocol.parse_server(message.decode())
        if isinstance(event, protocol.Window):
            self._answered(event)
        elif isinstance(event, protocol.Dropped):
            self._count(event.reason)
            self._tally.drop_times.append(time.monotonic() - self._since)
        elif isinstance(event, protocol.Ready):
            self._ready, self._begin = event, time.monotonic()
            self._sender.at(self._begin + self._plan[0], partial(self._send, 0))
        elif isinstance(event, protocol.Summary):
            self._over.set()
        elif isinstance(event, protocol.Failure):
            self._fail(event.code)

    def closed(self, why: str) -> None:
        """Count an end before the summary."""
        if why == BUSY:
            self._tally.busy += 1
            self._over.set()
        elif not self._over.is_set():
            self._fail(why)

    def _fail(self, why: str) -> None:
        if not self._over.is_set():
            self._tally.failed[why] += 1
            self._over.set()

    def _send(self, number: int) -> None:
        """Send a chunk, and plan the next."""
        if self._over.is_set():
            return
        if number == self._last:
            self._tally.disconnected += 1
            self._tally.expected += self._reported
            self._over.set()
            return
        self._tally.lag_ms.append(1e3 * (time.monotonic() - self._begin - self._plan[number]))
        self.transport.write(self._chunk(number))
        if number + 1 < len(self._plan):
            self._sender.at(self._begin + self._plan[number + 1], partial(self._send, number + 1))
            return
        assert self._ready is not None  # chunks are sent after it
        self._tally.expected += windows(self._ready, self._seconds)
        stop = protocol.encode(protocol.Stop()).encode()
        self.transport.write(websocket.frame(websocket.TEXT, stop))

    def _chunk(self, number: int) -> bytes:
        """Return a frame of sound; the last holds what is left."""
        whole = self._chunks[(self._from + number) % len(self._chunks)]
        if number + 1 < len(self._plan):
            return whole
        size = round(self._load.chunk * self._load.sample_rate)
        left = round(self._seconds * self._load.sample_rate) - number * size
        return websocket.frame(websocket.BINARY, whole[len(whole) - 2 * size :][: 2 * left])

    def _answered(self, event: protocol.Window) -> None:
        now, load = time.monotonic(), self._load
        assert self._ready is not None  # the first message
        rate = self._ready.sample_rate
        grown = growth(self._seconds, load.chunk, load.sample_rate, rate)
        # A chunk that holds the last sample the window needs is due by the plan.
        chunk = bisect_left(grown, round(event.end * rate))
        due = self._begin + self._plan[min(chunk, len(self._plan) - 1)]
        felt_ms, told_ms = 1e3 * (now - due), event.age_ms.total
        self._tally.points.append((due - self._since, felt_ms))
        self._tally.reported_ms.append(told_ms)
        self._tally.difference_ms.append(abs(told_ms - felt_ms))
        self._count("answered")

    def _count(self, fate: str) -> None:
        self._tally.fates[fate] += 1
        self._reported += 1


@lru_cache
def growth(seconds: float, chunk: float, from_rate: int, to_rate: int) -> list[int]:
    """Return the samples at the model's rate after each chunk; the resampler delays some."""
    resampler = StreamingResampler(from_rate, to_rate)
    size, total = round(chunk * from_rate), round(seconds * from_rate)
    pieces = [np.zeros(min(size, total - at), np.float32) for at in range(0, total, size)]
    return list(accumulate(len(resampler.feed(piece)) for piece in pieces))


def windows(ready: protocol.Ready, seconds: float) -> int:
    """Return how many windows fit into so much sound."""
    length, hop = round(ready.window * ready.sample_rate), round(ready.hop * ready.sample_rate)
    return max(0, 1 + (math.floor(seconds * ready.sample_rate) - length) // hop)
