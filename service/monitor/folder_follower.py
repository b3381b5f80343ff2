"""Follows a watched folder: each recording is streamed as fast as the server takes it."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from common.errors import InputError, TimbreError
from service.archive.records import EventRecord, MinuteRecord, Record, event_record
from service.client import Client
from service.client.events import Lost
from service.client.stream import Stream
from service.log import FailureLog, log
from service.monitor.config import FOLDER, SourceSettings
from service.monitor.coverage import Coverage
from service.monitor.folder import Recording, WatchedFolder
from service.monitor.follower import fault, level_of, pause
from service.protocol import Dropped, LabelEvent, Window
from service.sources.file_source import Playback

SCAN_S = 2.0
BLOCKS_PER_S = 4
MOST_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
"""Of a recording: it is read into memory, and a monitor killed for that would take it again."""
Step: TypeAlias = tuple[str, int, Any]
"""Name and arguments of a method of Coverage."""


class FolderFollower:
    """One folder. Its records go to `put`; a recording's coverage is told when it is done."""

    def __init__(
        self,
        settings: SourceSettings,
        client: Client,
        put: Callable[[Record], None],
        *,
        written: Callable[[], Awaitable[None]],
    ) -> None:
        """written: returns once the sinks have what was put so far."""
        self._written = written
        self._marking: set[asyncio.Task[None]] = set()
        self._settings, self._client, self._put = settings, client, put
        self._folder = WatchedFolder(
            Path(settings.input.removeprefix(FOLDER)).expanduser(), name=settings.name
        )
        self._failure = FailureLog("folder fails", "folder works", source=settings.name)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Let `run` return after the recording under way."""
        self._stopping.set()

    async def run(self) -> None:
        """Take recordings as they come, until stopped or cancelled."""
        try:
            while not self._stopping.is_set():
                await self._take_ready()
                await pause(self._stopping, SCAN_S)
            await asyncio.gather(*self._marking)
        finally:
            for task in self._marking:
                task.cancel()
            await asyncio.gather(*self._marking, return_exceptions=True)

    async def _take_ready(self) -> None:
        try:
            now = asyncio.get_running_loop().time()
            for recording in await asyncio.to_thread(self._folder.ready, now):
                await self._take(recording)
                if self._stopping.is_set():
                    return
            for path in self._folder.growing(now):
                why = "it has grown for an hour, and is taken once it stops"
                log("recording grows", source=self._settings.name, file=str(path), why=why)
            self._failure.worked()
        except (OSError, TimbreError) as error:
            self._failure.failed(str(error))

    async def _take(self, recording: Recording) -> None:
        """Stream a file, and remember it. Raises OSError, TimbreError: it is tried again."""
        try:
            check_size(recording, MOST_BYTES)
            sound = await asyncio.to_thread(Playback, recording.path)
            await self._stream(sound, recording)
        except InputError as error:
            # It would fail again.
            self._leave_out(error)
        except (OSError, TimbreError):
            raise
        except Exception as error:  # noqa: BLE001 - it must not keep those after it from being taken
            self._leave_out(fault(error))
        self._folder.begun(recording)
        task = asyncio.create_task(self._mark(recording))
        self._marking.add(task)
        task.add_done_callback(self._marking.discard)

    async def _mark(self, recording: Recording) -> None:
        """Remember a recording for the next start once the sinks have what was heard in it."""
        await self._written()
        await self._keep(self._folder.take, recording)

    async def _keep(self, mark: Callable[[Recording], None], recording: Recording) -> None:
        try:
            await asyncio.to_thread(mark, recording)
        except OSError as error:
            log("recording not marked", source=self._settings.name, why=str(error))

    def _leave_out(self, error: TimbreError) -> None:
        log("recording left out", source=self._settings.name, why=str(error))

    async def _stream(self, sound: Playback, recording: Recording) -> None:
        settings, rate = self._settings, sound.sample_rate
        async with self._client.stream(
            settings.model,
            sample_rate=rate,
            channels=sound.channels,
            hop=settings.hop,
            on_overload="complete",
            events=True,
            event_settings=settings.event_settings,
            source=settings.name,
            publish=settings.publish,
            patience_s=math.inf,
        ) as stream:
            heard: list[Step] = []
            events: list[LabelEvent] = []
            feeding = asyncio.create_task(self._feed(sound, stream, heard))
            try:
                async for event in stream:
                    match event:
                        case Window():
                            heard.append(("answered", event.start_sample, event.end_sample))
                        case Dropped() | Lost():
                            heard.append(("dropped", event.to_sample, event.reason))
                        case LabelEvent():
                            events.append(event)
                await feeding
            finally:
                feeding.cancel()
                await asyncio.gather(feeding, return_exceptions=True)
        # Its end is known by now, which tells when it began.
        begin_ms = round(1000 * recording.begin(stream.captured / rate))
        await self._keep(self._folder.begin, recording)
        again = self._folder.was_begun(recording)
        for event in events:
            self._put(replace(self._record(event, recording, begin_ms, rate), again=again))
        for minute in coverage_of(settings.name, heard, begin_ms, rate, stream.captured):
            self._put(replace(minute, recording=recording.key, again=again))

    async def _feed(self, sound: Playback, stream: Stream, heard: list[Step]) -> None:
        try:
            for block in sound.blocks(sound.sample_rate // BLOCKS_PER_S):
                heard.append(("captured", stream.captured + len(block), level_of(block)))
                await stream.send(block)
        finally:
            await stream.finish()

    def _record(
        self, event: LabelEvent, recording: Recording, begin_ms: int, rate: int
    ) -> EventRecord:
        # The same when a file is taken again after a kill: an archive has it once.
        id_ = f"{self._settings.name}-{recording.key}-{event.id.rpartition('-')[2]}"

        def to_ms(sample: int) -> int:
            return begin_ms + sample * 1000 // rate

        return event_record(event, id_=id_, model=self._settings.model, to_ms=to_ms)


def check_size(recording: Recording, most: int) -> None:
    """Raises InputError for a recording of more bytes."""
    if recording.size > most:
        raise InputError(
            f"{recording.path} has {recording.size} bytes, more than half of this machine's"
            f" memory, {most}: record shorter files"
        )


def coverage_of(
    source: str, steps: list[Step], begin_ms: int, rate: int, samples: int
) -> list[MinuteRecord]:
    """Return the minutes of a recording of so many samples that began at a time."""
    coverage = Coverage(source, begin_ms)
    coverage.connect(begin_ms, sample_rate=rate)
    for name, *arguments in steps:
        getattr(coverage, name)(*arguments)
    coverage.disconnect(samples)
    return coverage.finish(begin_ms)
