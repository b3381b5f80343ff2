"""Decodes sound files to mono samples; headers are checked before memory is allocated.

libsndfile reads a truncated file as a shorter one without an error: headers are checked here.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from common.errors import InputError, TooLarge, Unprocessable, UnsupportedMedia
from features.config import Samples
from features.levels import check_levels
from features.mixdown import mixdown
from features.resample import StreamingResampler
from features.wav import PcmFile, Values, check_parts, check_wav, read_pcm

if TYPE_CHECKING:
    import soundfile

SoundFile: TypeAlias = "soundfile.SoundFile | PcmFile"

RATES = (1_000, 384_000)
"""Hertz, lowest and highest of a file."""
MAX_CHANNELS = 64
MAX_SECONDS = 600.0
MAX_SAMPLES = 57_600_000
"""Frames x channels of one file, 10 minutes of 48 kHz stereo: what decoding costs grows with it."""
KINDS = ("WAV", "FLAC", "OGG", "MP3")
_BLOCK = 1 << 20  # values decoded at a time, all channels together


def decode(
    data: bytes,
    *,
    sample_rate: int = 22_050,
    max_seconds: float = MAX_SECONDS,
    max_samples: int | None = MAX_SAMPLES,
    check: Callable[[], None] = lambda: None,
) -> Samples:
    """Return a WAV, FLAC, OGG (Vorbis, Opus) or MP3 file as mono float32 (n,) at `sample_rate`.

    Channels are averaged. max_samples: frames x channels, None for any number. check: called
    between blocks of a million samples; an error it raises ends the decoding.

    Raises UnsupportedMedia (another kind of file), InputError (empty, truncated, damaged), TooLarge
    (more than `max_seconds` or `max_samples`, by its header or as decoded), Unprocessable (no
    samples, NaN or levels far beyond [-1, 1], rate or channels out of range).
    """
    kind = sniff(data)
    check_complete(data, kind)
    with _opened(data, kind) as file:
        _check_header(file)
        # The header may state less than the file holds.
        _check_length(file, file.frames, max_seconds, max_samples)
        same = file.samplerate == sample_rate
        resampler = None if same else StreamingResampler(file.samplerate, sample_rate)
        parts, frames = [], 0
        for block in _blocks(file):
            check()
            frames += len(block)
            _check_length(file, frames, max_seconds, max_samples)
            check_levels(block)
            mono = mixdown(block, channels=file.channels)
            parts.append(resampler.feed(mono) if resampler else mono)
    if not frames:
        raise Unprocessable("the file holds no samples")
    if resampler:
        parts.append(resampler.finish())
    return np.concatenate(parts) if len(parts) > 1 else parts[0]


@contextmanager
def _opened(data: bytes, kind: str) -> Iterator[SoundFile]:
    """Open a file. Raises InputError, also while it is read."""
    if kind == "WAV" and (pcm := read_pcm(data)):
        yield pcm
        return
    # Imported here so that a server that gets no other files never loads libsndfile.
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            yield file
    except soundfile.LibsndfileError as error:
        raise InputError(f"this {kind} file is damaged or truncated: {_reason(error)}") from error


def _check_header(file: SoundFile) -> None:
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise Unprocessable(
            f"sample rate {file.samplerate} Hz: must be from {RATES[0]} to {RATES[1]}"
        )
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise Unprocessable(f"{file.channels} channels: at most {MAX_CHANNELS}")


def _check_length(
    file: SoundFile, frames: int, max_seconds: float, max_samples: int | None
) -> None:
    if frames > max_seconds * file.samplerate:
        raise TooLarge(f"{frames / file.samplerate:.1f} s of sound: at most {max_seconds:g} s")
    if max_samples is not None and frames * file.channels > max_samples:
        raise TooLarge(
            f"{frames} samples x {file.channels} channels = {frames * file.channels}:"
            f" at most {max_samples}"
        )


def _blocks(file: SoundFile) -> Iterator[Values]:
    size = max(1, _BLOCK // file.channels)
    if isinstance(file, PcmFile):
        yield from (file.values[at : at + size] for at in range(0, file.frames, size))
        return
    while len(block := file.read(size, dtype="float32", always_2d=True)):
        yield block


def _reason(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).strip().rstrip(".") or f"code {error.code}"


def sniff(data: bytes) -> str:
    """Return the kind of a file. Raises InputError when empty, UnsupportedMedia for other kinds."""
    if not data:
        raise InputError("the file is empty")
    if data[:4] in (b"RIFF", b"RF64") and data[8:12] == b"WAVE":
        return "WAV"
    if data[:4] == b"fLaC":
        return "FLAC"
    if data[:4] == b"OggS":
        return "OGG"
    if data[:3] == b"ID3" or (len(data) > 1 and data[0] == 0xFF and data[1] & 0xE6 == 0xE2):
        return "MP3"
    raise UnsupportedMedia(f"not a sound file of a supported kind ({', '.join(KINDS)})")


def check_complete(data: bytes, kind: str) -> None:
    """Raise InputError if the file is shorter than its headers state; not for FLAC, plain MP3."""
    if kind == "WAV":
        check_wav(data)
    elif kind == "OGG":
        _check_ogg(data)
    elif kind == "MP3":
        _check_mp3(data)


def _check_ogg(data: bytes) -> None:
    """Walk the pages (RFC 3533): the last one must be whole and marked as the end of its stream."""
    at, flags, count = 0, 0, 0
    while at < len(data):
        check_parts(count := count + 1)
        if at + 27 > len(data) or data[at : at + 4] != b"OggS":
            raise InputError("truncated: the OGG file ends inside a page")
        segments = data[at + 26]
        table = data[at + 27 : at + 27 + segments]
        flags = data[at + 5]
        at += 27 + segments + sum(table)
        if len(table) < segments or at > len(data):
            raise InputError("truncated: the OGG file ends inside a page")
    if not flags & 4:
        raise InputError("truncated: the OGG file has no last page")


def _check_mp3(data: bytes) -> None:
    """Compare with the byte count of a Xing or Info tag, where there is one (LAME writes it)."""
    start = 0
    if data[:3] == b"ID3" and len(data) >= 10:
        start = 10 + sum(
            (byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True)
        )
    head = data[start : start + 200]
    tag = max(head.find(b"Xing"), head.find(b"Info"))
    if tag < 0 or len(head) < tag + 16:
        return
    flags = struct.unpack_from(">I", head, tag + 4)[0]
    if flags & 2:
        at = tag + 8 + (4 if flags & 1 else 0)
        size = struct.unpack_from(">I", head, at)[0]
        if size > len(data) - start:
            raise InputError(
                f"truncated: the MP3 file promises {size} bytes, {len(data) - start} are there"
            )
