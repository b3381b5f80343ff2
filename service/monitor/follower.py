"""Follows one source for months: streams it, and tells its events, its coverage, its problems."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path

import numpy as np

from common.backoff import pause_s
from common.errors import TimbreError
from features.config import Samples
from features.levels import CLIPPED_SHARE, FULL_SCALE, SILENCE_PEAK
from service.archive.records import (
    EventRecord,
    ProblemRecord,
    Record,
    event_record,
    rfc3339,
    slug,
)
from service.client import Client
from service.client.events import Event, Lost, Reconnect
from service.client.stream import Stream
from service.log import FailureLog, log, trace
from service.monitor.config import SourceSettings
from service.monitor.coverage import Coverage, Level
from service.monitor.health import WORDS, Health
from service.monitor.kept_sound import Clip, RecentSound, write_clip
from service.protocol import Dropped, LabelEvent, Ready, Window
from service.sources.inputs import Looped, Source, open_input

TICK_S = 1.0
NO_SOUND_S = 10.0
"""Seconds without a chunk after which a connected source counts as dead."""
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
STABLE_S = 60.0
"""Seconds after which the next attempt is soon again."""
CLOCK_S = 5.0
"""Seconds between the clock of the samples and that of the wall after which a new stream begins."""
BURST_S = 60.0
"""The same for sound from the network, which may come in bursts."""


class Follower:
    """One source. Its records go to `put`, which never waits."""

    def __init__(
        self,
        settings: SourceSettings,
        client: Client,
        put: Callable[[Record], None],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """clock: seconds since 1970."""
        self._settings, self._client, self._put, self._clock = settings, client, put, clock
        self._coverage = Coverage(settings.name, self._now_ms())
        self._health = Health(patience_s=settings.dead_after)
        self._anchor_ms = 0
        self._rate = 0
        self._last_chunk: float | None = None
        self._server_lost = False
        self._stopping = asyncio.Event()
        self._recent: RecentSound | None = None
        self._kept = Path(settings.keep_path).expanduser() / settings.name
        self._failure = FailureLog("sound not kept", "sound is kept again", source=settings.name)

    def stop(self) -> None:
        """Let `run` end what is under way, and return when the source gives its next chunk."""
        self._stopping.set()

    async def run(self) -> None:
        """Follow the source until it is at its end, which most never are, or until cancelled."""
        ticking = asyncio.create_task(self._tick())
        try:
            await self._keep_following()
        finally:
            ticking.cancel()
            for minute in self._coverage.finish(self._now_ms()):
                self._put(minute)

    async def _keep_following(self) -> None:
        loop, attempt = asyncio.get_running_loop(), 0
        while not self._stopping.is_set():
            begin = loop.time()
            try:
                source = await asyncio.to_thread(self._open)
                await self._follow(source)
                if self._ends or self._stopping.is_set():
                    return
                detail = f"{source.name} ended"
            except _ClockMovedError as error:
                log("clock moved", source=self._settings.name, seconds=error.seconds)
                continue
            except Exception as error:
                # No fault may end a source unseen, for months.
                known = error if isinstance(error, TimbreError) else fault(error)
                if self._ends and self._rate:
                    raise known from error
                detail = str(known)
            if loop.time() - begin > STABLE_S:
                attempt = 0
            self._problem(self._health.lost("not connected"), detail)
            wait_s = pause_s(attempt, first_s=FIRST_WAIT_S, longest_s=LONGEST_WAIT_S)
            await pause(self._stopping, wait_s)
            attempt += 1

    @property
    def _ends(self) -> bool:
        """Whether the source has an end: a file that is not looped, stdin."""
        text = self._settings.input
        endless = text == "mic" or text.startswith("device:") or "://" in text
        return not (endless or self._settings.loop)

    def _open(self) -> Source:
        text = self._settings.input
        return Looped(text) if self._settings.loop else open_input(text)

    async def _follow(self, source: Source) -> None:
        settings = self._settings
        async with self._client.stream(
            settings.model,
            sample_rate=source.sample_rate,
            channels=source.channels,
            hop=settings.hop,
            events=True,
            event_settings=settings.event_settings,
            source=settings.name,
            publish=settings.publish,
            patience_s=math.inf,
        ) as stream:
            self._rate = 0
            feeding = asyncio.create_task(self._feed(source, stream))
            try:
                async for event in stream:
                    self._hear(event)
                await feeding
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
                self._coverage.disconnect(stream.captured)
                if self._recent:
                    await self._write(self._recent.finish())
                    self._recent = None
                self._last_chunk = None

    async def _feed(self, source: Source, stream: Stream) -> None:
        tolerance_s = BURST_S if "://" in self._settings.input else CLOCK_S
        try:
            async with aclosing(source.chunks()) as chunks:
                async for samples, _ in chunks:
                    if len(samples):
                        self._begin(source, len(samples))
                        await stream.send(samples)
                        self._captured(samples, stream.captured)
                        if self._recent:
                            await self._write(self._recent.add(samples))
                        self._check_clock(stream.captured, tolerance_s)
                    if self._stopping.is_set():
                        break
        finally:
            await stream.finish()

    def _begin(self, source: Source, samples: int) -> None:
        """Set the wall clock of sample 0 when the first chunk is there."""
        self._last_chunk = asyncio.get_running_loop().time()
        if not self._rate:
            self._rate = source.sample_rate
            self._anchor_ms = self._now_ms() - 1000 * samples // self._rate
            self._coverage.connect(self._anchor_ms, sample_rate=self._rate)
            if self._settings.keep:
                self._recent = RecentSound(self._rate, around_s=self._settings.keep_seconds)
            if self._health.problem in {"not connected", "no sound"}:
                log("source connected", source=self._settings.name)

    def _captured(self, samples: Samples, end: int) -> None:
        level = level_of(samples)
        self._coverage.captured(end, level)
        self._problem(self._health.sound(level, len(samples) / self._rate))

    def _check_clock(self, captured: int, tolerance_s: float) -> None:
        behind = (self._now_ms() - self._anchor_ms) / 1000 - captured / self._rate
        if abs(behind) > tolerance_s:
            raise _ClockMovedError(round(behind, 1))

    def _hear(self, event: Event) -> None:
        match event:
            case Window():
                self._coverage.answered(event.start_sample, event.end_sample)
            case Dropped() | Lost() if event.to_sample > event.from_sample:
                self._coverage.dropped(event.to_sample, event.reason)
            case LabelEvent():
                self._put(self._record(event))
                if self._recent and event.end_sample is not None:
                    path = self._clip_path(event)
                    self._recent.keep(path, event.start_sample, event.end_sample)
            case Reconnect() if not self._server_lost:
                self._server_lost = True
                log("server lost", source=self._settings.name, why=event.detail)
            case Ready() if self._server_lost:
                self._server_lost = False
                log("server back", source=self._settings.name)
        self._put_minutes()

    def _wall_ms(self, sample: int) -> int:
        return self._anchor_ms + sample * 1000 // self._rate

    def _clip_path(self, event: LabelEvent) -> Path:
        moment = rfc3339(self._wall_ms(event.start_sample))
        return self._kept / f"{re.sub('[-:]', '', moment[:19])}Z-{slug(event.label)}.wav"

    async def _write(self, clips: list[Clip]) -> None:
        for clip in clips:
            try:
                await asyncio.to_thread(
                    write_clip, clip, folder=self._kept, max_bytes=self._settings.keep_bytes
                )
            except OSError as error:
                self._failure.failed(error)
            else:
                self._failure.worked()

    def _record(self, event: LabelEvent) -> EventRecord:
        # No other stream of this source begins in the same millisecond.
        id_ = f"{self._settings.name}-{self._anchor_ms}-{event.id.rpartition('-')[2]}"
        return event_record(event, id_=id_, model=self._settings.model, to_ms=self._wall_ms)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK_S)
            self._coverage.advance(self._now_ms())
            self._put_minutes()
            if self._last_chunk is not None and loop.time() - self._last_chunk > NO_SOUND_S:
                self._problem(self._health.lost("no sound"))

    def _put_minutes(self) -> None:
        for minute in self._coverage.take():
            self._put(minute)

    def _problem(self, problem: str | None, detail: str = "") -> None:
        """Tell a problem that is new, or that the last one is over."""
        if problem is None:
            return
        name = self._settings.name
        if problem:
            log("source fails", source=name, problem=problem, why=detail or WORDS[problem])
        else:
            log("source works", source=name)
        self._put(
            ProblemRecord(
                source=name,
                at_ms=self._now_ms(),
                problem=self._health.problem,
                detail=detail or WORDS.get(problem, "it works again"),
            )
        )

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


class _ClockMovedError(Exception):
    """The clock of the wall was set, or the device loses sound without a word."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"{seconds} s")
        self.seconds = seconds


def fault(error: Exception) -> TimbreError:
    """Log an error that is nobody's but ours, and return one that can be told."""
    trace(error)
    return TimbreError(f"a fault: {type(error).__name__}; the log has it")


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until it is time to stop."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


def level_of(samples: Samples) -> Level:
    """Return the level of a chunk, float samples of any shape in [-1, 1]."""
    loud = np.abs(samples)
    if not loud.size or float(loud.max()) < SILENCE_PEAK:
        return "silent"
    clipped = int(np.count_nonzero(loud >= FULL_SCALE))
    return "clipped" if clipped > CLIPPED_SHARE * loud.size else "heard"
