"""Decodes sound files to mono samples; headers are checked before memory is allocated.

libsndfile reads less than a file holds without an error where a header is wrong or missing: what a
file holds is found in `features.containers`, and compared with what was decoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from common.errors import TooLarge, Unprocessable, UnsupportedMedia
from features.config import Samples
from features.containers import kinds
from features.containers.notes import Doubt, Notes, Segment
from features.containers.wav import PcmFile, Values, read_pcm
from features.mixdown import ChannelMixer
from features.resample import StreamingResampler
from features.sound_checks import SoundChecker

if TYPE_CHECKING:
    from features.containers import sndfile

SoundFile: TypeAlias = "sndfile.SoundFile | PcmFile"

RATES = (1_000, 384_000)
"""Hertz, lowest and highest of a file."""
MAX_CHANNELS = 64
MAX_SECONDS = 600.0
MAX_SAMPLES = 57_600_000
"""Frames x channels of one file, 10 minutes of 48 kHz stereo: what decoding costs grows with it."""
_BLOCK = 1 << 20  # values decoded at a time, all channels together
_MOST_BY_FFMPEG = 2**29
"""Samples of a file that ffmpeg reads, where no other bound is given."""
_SMALL_BLOCK = 1 << 12


@dataclass(frozen=True)
class Sound:
    """A decoded file."""

    samples: Samples
    """Mono float32 (n,)."""
    seconds: float
    """Its length as it is in the file."""
    warnings: tuple[Doubt, ...] = ()


def decode(
    data: bytes,
    *,
    sample_rate: int = 22_050,
    max_seconds: float = MAX_SECONDS,
    max_samples: int | None = MAX_SAMPLES,
    ffmpeg: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Samples:
    """Return the samples of a sound file; see `decode_sound`."""
    return decode_sound(
        data,
        sample_rate=sample_rate,
        max_seconds=max_seconds,
        max_samples=max_samples,
        ffmpeg=ffmpeg,
        check=check,
    ).samples


def decode_sound(
    data: bytes,
    *,
    sample_rate: int = 22_050,
    max_seconds: float = MAX_SECONDS,
    max_samples: int | None = MAX_SAMPLES,
    partial: bool = False,
    ffmpeg: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Sound:
    """Return a sound file, one of `kinds.READ`, as mono float32 (n,) at `sample_rate`.

    Channels are averaged, or the louder of opposite ones is used; parts of other rates or channels
    follow each other. max_samples: frames x channels, None for any number. partial: read a file
    with missing sound as far as it goes. ffmpeg: let that program read other kinds. check: called
    between blocks of a million samples; an error it raises ends the decoding.

    Raises UnsupportedMedia (another kind of file), InputError (empty, truncated, damaged), TooLarge
    (more than `max_seconds` or `max_samples`, by its header or as decoded), Unprocessable (no
    samples, NaN or levels far beyond [-1, 1], rate or channels out of range).
    """
    notes = Notes(partial=partial, max_seconds=max_seconds, check=check)
    try:
        return _read(data, sample_rate, max_samples, notes)
    except UnsupportedMedia:
        if not ffmpeg:
            raise
        again = Notes(partial=partial, max_seconds=max_seconds, check=check)
        wav = _by_ffmpeg(data, again, max_samples)
        if wav is None:
            raise
        return _read(wav, sample_rate, max_samples, again)


def _by_ffmpeg(data: bytes, notes: Notes, max_samples: int | None) -> bytes | None:
    """Return a file of another kind as WAV; None without ffmpeg. Raises InputError."""
    # Imported here: few servers run a program.
    from features.containers import ffmpeg

    data = kinds.without_tag(data)
    kind = kinds.sniff(data)
    if not ffmpeg.program() or not kind.demuxer:
        return None
    most = 4 * (max_samples or _MOST_BY_FFMPEG) + _BLOCK
    return ffmpeg.to_wav(data, kind, notes, max_bytes=most)


def _read(data: bytes, sample_rate: int, max_samples: int | None, notes: Notes) -> Sound:
    if (pcm := read_pcm(data)) and pcm.is_whole:
        decoder = _Decoder("WAV", sample_rate, max_samples, notes)
        decoder.read_file(pcm, None)
        return decoder.finish()
    kind, segments = open_file(data, notes)
    decoder = _Decoder(kind, sample_rate, max_samples, notes)
    for segment in segments:
        decoder.read(segment)
    return decoder.finish()


def seconds_of_bytes(data: bytes) -> float:
    """Return the length of a sound file without decoding it. Raises InputError."""
    kind, segments = open_file(data)
    total = 0.0
    for segment in segments:
        with _file_of(segment, kind) as file:
            frames = file.frames if segment.at_most is None else segment.at_most
            total += frames / file.samplerate
    return total


def open_file(data: bytes, notes: Notes | None = None) -> tuple[str, list[Segment]]:
    """Return the name of a file's kind, and its sound. Raises InputError."""
    notes = notes or Notes()
    data = kinds.without_tag(data)
    kind = kinds.sniff(data)
    if kind.reader is None:
        raise kinds.refuse(kind)
    try:
        return kind.name, kind.reader(data, notes)
    except UnsupportedMedia as error:
        raise kinds.refuse(kind, str(error)) from error


@contextmanager
def _file_of(segment: Segment, kind: str) -> Iterator[SoundFile]:
    """Open a segment. Raises InputError, also while it is read."""
    if kind == "WAV" and (pcm := read_pcm(segment.data)):
        yield pcm
        return
    # Imported here so that a server that gets no other files never loads libsndfile.
    from features.containers.sndfile import FileError, explained, open_segment

    try:
        with open_segment(segment) as file:
            yield file
    except FileError as error:
        raise explained(error, kind, segment.codec) from error


class _Decoder:
    """Segments one after the other to one sound."""

    def __init__(self, kind: str, sample_rate: int, max_samples: int | None, notes: Notes) -> None:
        self._kind = kind
        self._sample_rate = sample_rate
        self._max_samples = max_samples
        self._notes = notes
        self._parts: list[Samples] = []
        self._checker = SoundChecker()
        self._seconds = 0.0
        self._samples = 0

    def read(self, segment: Segment) -> None:
        """Decode a segment behind those before it."""
        with _file_of(segment, self._kind) as file:
            begin = self._seconds
            frames = self.read_file(file, segment.at_most)
            rate = file.samplerate
        if segment.count_rate:
            least = segment.at_least * rate // segment.count_rate
        else:
            least = segment.at_least
        if frames < least:
            self._notes.missing(
                f"this {self._kind} file is damaged or truncated: it holds {least} samples,"
                f" decoding ended after {frames}, at {begin + frames / rate:.2f} s"
            )

    def read_file(self, file: SoundFile, at_most: int | None) -> int:
        """Decode a file, up to some frames; return how many there were."""
        _check_header(file)
        # The header may state less than the file holds.
        self._check_length(file, file.frames if at_most is None else at_most)
        frames = self._read_blocks(file, at_most)
        self._seconds += frames / file.samplerate
        self._samples += frames * file.channels
        return frames

    def finish(self) -> Sound:
        """Return the whole sound. Raises Unprocessable if there is none."""
        if not self._samples:
            raise Unprocessable("the file holds no samples")
        samples = np.concatenate(self._parts) if len(self._parts) > 1 else self._parts[0]
        if not samples.size:
            raise Unprocessable(
                f"{self._seconds:.6f} s of sound: less than one sample at {self._sample_rate} Hz"
            )
        return Sound(samples, self._seconds, (*self._notes.warnings, *self._checker.warnings()))

    def _read_blocks(self, file: SoundFile, at_most: int | None) -> int:
        same = file.samplerate == self._sample_rate
        resampler = None if same else StreamingResampler(file.samplerate, self._sample_rate)
        mixer = ChannelMixer(channels=file.channels, rate=file.samplerate)
        frames = 0
        for block in self._blocks(file, at_most):
            self._notes.check()
            frames += len(block)
            self._check_length(file, frames)
            self._checker.check_block(block)
            self._add(mixer.feed(block), file, resampler)
        self._add(mixer.finish(), file, resampler)
        self._checker.add_opposite(mixer.opposite / file.samplerate)
        if resampler:
            self._parts.append(resampler.finish())
        return frames

    def _add(self, mono: Samples, file: SoundFile, resampler: StreamingResampler | None) -> None:
        self._checker.check_mono(mono, rate=file.samplerate)
        self._parts.append(resampler.feed(mono) if resampler else mono)

    def _blocks(self, file: SoundFile, at_most: int | None) -> Iterator[Values]:
        # An error takes all of its block along.
        size = max(1, (_SMALL_BLOCK if self._notes.partial else _BLOCK) // file.channels)
        if isinstance(file, PcmFile):
            yield from (file.values[at : at + size] for at in range(0, file.frames, size))
            return
        from features.containers.sndfile import FileError, explained

        left = math.inf if at_most is None else at_most
        while left > 0:
            try:
                block = file.read(int(min(size, left)), dtype="float32", always_2d=True)
            except FileError as error:
                self._notes.missing(str(explained(error, self._kind)))
                return
            if not len(block):
                return
            left -= len(block)
            yield block

    def _check_length(self, file: SoundFile, frames: int) -> None:
        seconds = self._seconds + frames / file.samplerate
        if seconds > self._notes.max_seconds:
            raise TooLarge(f"{seconds:.1f} s of sound: at most {self._notes.max_seconds:g} s")
        samples = self._samples + frames * file.channels
        if self._max_samples is not None and samples > self._max_samples:
            raise TooLarge(
                f"{frames} samples x {file.channels} channels = {samples}:"
                f" at most {self._max_samples}"
            )


def _check_header(file: SoundFile) -> None:
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise Unprocessable(
            f"sample rate {file.samplerate} Hz: must be from {RATES[0]} to {RATES[1]}"
        )
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise Unprocessable(f"{file.channels} channels: at most {MAX_CHANNELS}")
