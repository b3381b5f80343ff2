"""Sound from a file at real speed, or from a pipe as it comes."""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from common.errors import InputError
from common.terminal import say
from features.config import Samples
from features.containers.notes import Doubt, Notes, Segment
from features.containers.sndfile import FileError, open_segment
from features.decode import decode_sound, open_file
from service.protocol import CHANNELS, RATES

CHUNKS_PER_S = 20
STDIN = "-"
CONVERTED_RATE = 48_000
"""Hertz of files whose own rate or channels change, or are not those of streams."""
_TYPES = {(1, 16): ("<i2", 2**15), (1, 32): ("<i4", 2**31), (3, 32): ("<f4", 1)}
"""By format tag and bits: dtype, and what full scale is."""
_MAX_HEAD = 2**16


class Playback:
    """A sound file at its own rate and with its own channels, where a stream may have them."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises InputError if it cannot be read."""
        self.path = path
        self.name = path.name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        self._open(data)

    def _open(self, data: bytes) -> None:
        try:
            found = _blocks_of(data)
        except InputError as error:
            raise type(error)(f"{self.path}: {error}") from error
        self.sample_rate, self.channels, self.warnings = found.rate, found.channels, found.warnings
        self.blocks, self.converted = found.blocks, found.converted

    async def chunks(self) -> AsyncGenerator[tuple[Samples, bool]]:
        """Yield chunks of shape (n,) or (n, channels) at real speed, and False: no sound is lost.

        Raises InputError if the file is truncated or damaged.
        """
        loop = asyncio.get_running_loop()
        # Times are absolute, so that a late chunk does not delay the ones after it.
        start, chunk = loop.time(), self.sample_rate // CHUNKS_PER_S
        for index, samples in enumerate(self.blocks(chunk)):
            await asyncio.sleep(max(0.0, start + index * chunk / self.sample_rate - loop.time()))
            yield samples, False


class _Opened(NamedTuple):
    rate: int
    channels: int
    blocks: Callable[[int], Iterator[Samples]]
    """Yields blocks of so many samples."""
    warnings: Sequence[Doubt]
    converted: bool
    """Whether rate and channels are not those of the file."""


def _blocks_of(data: bytes) -> _Opened:
    """Return how the sound of a file is read."""
    segments: list[Segment] = []
    kind, rate, channels, notes = "", 0, 0, Notes(partial=True)
    # What cannot be opened so may be for ffmpeg; otherwise its own error says what is wrong.
    with suppress(InputError, FileError):
        kind, segments = open_file(data, notes)
        with open_segment(segments[0]) as file:
            rate, channels = int(file.samplerate), int(file.channels)
    inside = RATES[0] <= rate <= RATES[1] and channels <= CHANNELS[1]
    if inside and len(segments) == 1 and segments[0].at_most is None:
        segment = segments[0]

        def own(size: int) -> Iterator[Samples]:
            try:
                with open_segment(segment) as file:
                    while len(block := file.read(size, dtype="float32")):
                        yield block
            except FileError as error:
                raise InputError(f"{kind} cannot be read to its end: {error}") from error

        return _Opened(rate, channels, own, notes.warnings, converted=False)
    sound = decode_sound(
        data,
        sample_rate=CONVERTED_RATE,
        max_seconds=float("inf"),
        max_samples=None,
        partial=True,
        ffmpeg=True,
    )

    def cut(size: int) -> Iterator[Samples]:
        for at in range(0, len(sound.samples), size):
            yield sound.samples[at : at + size]

    return _Opened(CONVERTED_RATE, 1, cut, sound.warnings, converted=True)


class Pipe(Playback):
    """Stdin or a FIFO: plain WAV as it comes, any other file once it is whole."""

    def __init__(self, path: Path, stream: BinaryIO | None = None) -> None:
        """Wait for the header. Raises InputError if it is that of no sound file."""
        self.path = path
        self.name = "stdin" if str(path) == STDIN else path.name
        try:
            self._stream = stream or (sys.stdin.buffer if str(path) == STDIN else path.open("rb"))
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}") from error
        head = self._stream.read(12)
        self._dtype = ""
        self.warnings = ()
        if head[:4] == b"RIFF" and head[8:] == b"WAVE":
            head = self._read_wav_head(head)
        if not self._dtype:
            say(f"timbre listen: {self.name} is played once it is whole: only WAV of plain samples"
                " is played as it comes", error=True)  # fmt: skip
            self._open(head + self._stream.read())

    def _read_wav_head(self, head: bytes) -> bytes:
        """Read up to the sound; return what was read."""
        layout = None
        while len(chunk := self._stream.read(8)) == 8:
            head += chunk
            name, size = struct.unpack("<4sI", chunk)
            if name == b"data":
                if layout:
                    self.sample_rate, self.channels, self._dtype, self._full = layout
                return head
            if len(head) + size > _MAX_HEAD:
                return head
            body = self._stream.read(size + size % 2)
            head += body
            if name == b"fmt " and len(body) >= 16:
                tag, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", body)
                known = _TYPES.get((tag, bits))
                inside = RATES[0] <= rate <= RATES[1] and 1 <= channels <= CHANNELS[1]
                layout = (rate, channels, *known) if known and inside else None
        return head + chunk

    async def chunks(self) -> AsyncGenerator[tuple[Samples, bool]]:
        """Yield chunks of shape (n,) or (n, channels) as they come, and False."""
        if not self._dtype:
            async for each in super().chunks():
                yield each
            return
        width = np.dtype(self._dtype).itemsize * self.channels
        size = self.sample_rate // CHUNKS_PER_S * width
        while len(raw := await asyncio.to_thread(self._stream.read, size)) >= width:
            values = np.frombuffer(raw[: len(raw) // width * width], self._dtype)
            samples = values.astype(np.float32) / np.float32(self._full)
            yield (samples if self.channels == 1 else samples.reshape(-1, self.channels)), False


def open_source(text: str) -> Playback:
    """Return a file, a FIFO or, for `-`, stdin as a source. Raises InputError."""
    path = Path(text)
    return Pipe(path) if text == STDIN or path.is_fifo() else Playback(path)
