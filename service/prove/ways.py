"""The ways from a file to its scores through a server: each returns what it gave."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from typing import Protocol

from common.errors import TimbreError
from features.config import Samples
from features.decode import decode_sound
from service.client import Client
from service.client.events import Lost
from service.client.stream import Stream
from service.protocol import Dropped, Window
from service.prove.case import Case, found_in
from service.prove.comparison import Found, Scored
from service.sources.file_source import Playback


async def rest(case: Case, client: Client) -> Found:
    """Post the file. Raises TimbreError."""
    if case.is_sound:
        options: dict[str, str | float] = {"hop": case.hop / case.rate}
    else:
        options = {"top_k": len(case.model.labels), **case.metadata}
    response = await client.classify(case.data, case.model.name, **options)
    return found_in(response, rate=case.rate)


async def stream(case: Case, client: Client) -> Found:
    """Stream the sound at its own rate, as fast as it goes. Raises TimbreError."""
    played = Playback(case.path)
    whole = [start for start in case.starts if start != case.padded]
    # What listening would convert to another rate is sent as it is classified; and so is what is
    # filled up with silence, for a resampler would hear the end before it.
    decoded = played.converted or not (whole or played.sample_rate == case.rate)
    source: _Sound = _Decoded(case) if decoded else played
    async with client.stream(
        case.model.name,
        sample_rate=source.sample_rate,
        encoding="pcm_f32le",
        channels=source.channels,
        hop=case.hop / case.rate,
        on_overload="complete",
    ) as live:
        sending = asyncio.create_task(_send(source, live, case, fill=not whole))
        try:
            version, windows = await _receive(live, case)
            await sending
        finally:
            sending.cancel()
    # Without a window nobody has told which version would have answered.
    note = _note(case, decoded=decoded, filled=not whole)
    return Found(version or case.model.version, windows, note)


class _Sound(Protocol):
    """A sound as it is sent."""

    sample_rate: int
    channels: int

    def blocks(self, size: int, /) -> Iterator[Samples]:
        """Yield (n,) or (n, channels) of so many samples."""


class _Decoded:
    """The sound of a file as the model hears it, mono."""

    channels = 1

    def __init__(self, case: Case) -> None:
        self.sample_rate = case.rate
        self._samples = decode_sound(
            case.data, sample_rate=case.rate, max_seconds=math.inf, max_samples=None, ffmpeg=True
        ).samples

    def blocks(self, size: int) -> Iterator[Samples]:
        """Yield so many samples at a time."""
        for at in range(0, len(self._samples), size):
            yield self._samples[at : at + size]


async def _send(source: _Sound, live: Stream, case: Case, *, fill: bool) -> None:
    """Send the sound; `fill`: and silence up to the end of a window."""
    sent = 0
    for block in source.blocks(source.sample_rate):
        await live.send(block.astype("<f4").tobytes())
        sent += len(block)
    if fill:
        window = case.model.sound[0].window
        samples = math.ceil(window * source.sample_rate / case.rate) - sent
        await live.send(bytes(4 * source.channels * max(0, samples)))
    await live.finish()


async def _receive(live: Stream, case: Case) -> tuple[str, dict[int, Scored]]:
    """Return the version and the windows. Raises TimbreError when sound was dropped."""
    version, windows = "", {}
    async for event in live:
        if isinstance(event, Dropped | Lost):
            raise TimbreError(
                f"samples {event.from_sample} to {event.to_sample} dropped: {event.reason}"
            )
        if isinstance(event, Window):
            version = event.version
            scored = Scored(event.scores, frozenset(event.labels))
            windows[round(event.start * case.rate)] = scored
    return version, windows


def _note(case: Case, *, decoded: bool, filled: bool) -> str:
    notes = []
    if decoded:
        notes.append(f"sent as {case.rate:,} Hz, mono")
    if filled:
        notes.append("silence was sent after it, up to a window")
    elif case.padded is not None:
        notes.append("a last window, padded with silence, is of files only")
    return ", ".join(notes)
