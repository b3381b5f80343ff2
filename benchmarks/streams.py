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
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import accumulate

import aiohttp
import numpy as np

from benchmarks import schedule, signals
from features.resample import StreamingResampler
from service import protocol

LAST_RESULTS_S = 15.0
"""Seconds to wait for the last answers."""
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


@dataclass(kw_only=True)
class Tally(schedule.Results):
    """What happened to all streams together."""

    expected: int = 0
    """Windows of the sound that was sent; of streams that disconnected, those reported."""
    fates: Counter[str] = field(default_factory=Counter)
    """`answered`, and `dropped` by reason."""
    failed: Counter[str] = field(default_factory=Counter)
    """Streams that did not end as they should, by what happened."""
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
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        streams = [_Stream(http, url, load, tally, sound, rng) for _ in starts]
        begin = time.monotonic()
        await asyncio.gather(
            *(stream.run(begin, at) for stream, at in zip(streams, starts, strict=True))
        )
    return tally


class _Stream:
    """One client with its microphone."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        url: str,
        load: Load,
        tally: Tally,
        sound: bytes,
        rng: np.random.Generator,
    ) -> None:
        self._http, self._load, self._tally, self._sound = http, load, tally, sound
        self._url = f"{url}/v1/models/{load.model}/stream"
        self._plan = schedule.chunk_times(
            load.seconds, chunk=load.chunk, jitter=load.jitter, rng=rng
        ).tolist()
        self._from = 2 * int(rng.integers(LOOP_S * load.sample_rate // 2))
        disconnects = rng.random() < load.drops
        self._last = int(rng.integers(len(self._plan))) if disconnects else None
        self._size = round(load.chunk * load.sample_rate)
        self._reported = 0

    async def run(self, since: float, start: float) -> None:
        """Live from `start` seconds after `since`, and count what becomes of it."""
        await asyncio.sleep(since + start - time.monotonic())
        try:
            async with self._http.ws_connect(self._url, max_msg_size=0, compress=0) as socket:
                await self._exchange_messages(socket, since)
        except (aiohttp.ClientError, OSError, TimeoutError, TypeError) as error:
            self._tally.failed[type(error).__name__] += 1

    async def _exchange_messages(
        self, socket: aiohttp.ClientWebSocketResponse, since: float
    ) -> None:
        await socket.send_str(
            protocol.encode(protocol.Start(sample_rate=self._load.sample_rate, hop=self._load.hop))
        )
        ready = protocol.parse_server((await socket.receive()).data)
        if not isinstance(ready, protocol.Ready):
            self._tally.failed[str(ready)] += 1
            return
        begin = time.monotonic()
        listening = asyncio.create_task(self._listen(socket, ready, begin, since))
        try:
            await self._send(socket, begin)
            if self._last is not None:
                self._tally.disconnected += 1
                self._tally.expected += self._reported
                return
            self._tally.expected += windows(ready, self._load.seconds)
            async with asyncio.timeout(LAST_RESULTS_S):
                await listening
        finally:
            listening.cancel()

    async def _send(self, socket: aiohttp.ClientWebSocketResponse, begin: float) -> None:
        total = 2 * round(self._load.seconds * self._load.sample_rate)
        for number, at in enumerate(self._plan):
            await asyncio.sleep(begin + at - time.monotonic())
            if number == self._last:
                return
            self._tally.lag_ms.append(1e3 * (time.monotonic() - begin - at))
            left = total - 2 * number * self._size
            place = (self._from + 2 * number * self._size) % (len(self._sound) - 2 * self._size)
            await socket.send_bytes(self._sound[place : place + min(left, 2 * self._size)])
        await socket.send_str(protocol.encode(protocol.Stop()))

    async def _listen(
        self,
        socket: aiohttp.ClientWebSocketResponse,
        ready: protocol.Ready,
        begin: float,
        since: float,
    ) -> None:
        grown = growth(
            self._load.seconds, self._load.chunk, self._load.sample_rate, ready.sample_rate
        )
        async for message in socket:
            now = time.monotonic()
            event = protocol.parse_server(message.data)
            if isinstance(event, protocol.Window):
                # A chunk that holds the last sample the window needs is due by the plan.
                chunk = bisect_left(grown, round(event.end * ready.sample_rate))
                due = begin + self._plan[min(chunk, len(self._plan) - 1)]
                self._tally.points.append((due - since, 1e3 * (now - due)))
                self._tally.reported_ms.append(event.age_ms.total)
                self._count("answered")
            elif isinstance(event, protocol.Dropped):
                self._count(event.reason)
            elif isinstance(event, protocol.Summary):
                return
            elif isinstance(event, protocol.Failure):
                self._tally.failed[event.code] += 1
                return
        self._tally.failed["closed without an end"] += 1

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
