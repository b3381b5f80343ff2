"""Decodes sound files to mono samples; headers are checked before memory is allocated."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import soundfile

from common.errors import InputError, TooLarge, Unprocessable
from features.config import Samples
from features.resample import StreamingResampler
from features.sound_header import check_complete, sniff

RATES = (1_000, 384_000)
"""Hertz, lowest and highest of a file."""
MAX_CHANNELS = 64
MAX_SECONDS = 600.0
_BLOCK = 1 << 20  # values decoded at a time, all channels together


def decode(data: bytes, *, sample_rate: int = 22_050, max_seconds: float = MAX_SECONDS) -> Samples:
    """Return a WAV, FLAC, OGG (Vorbis, Opus) or MP3 file as mono float32 (n,) at `sample_rate`.

    Channels are averaged. Raises UnsupportedMedia (another kind of file), InputError (empty,
    truncated, damaged), TooLarge (longer than `max_seconds`, by its header or as decoded),
    Unprocessable (no samples, NaN, infinity, rate or channels out of range).
    """
    kind = sniff(data)
    check_complete(data, kind)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            _check_header(file, max_seconds)
            return _read(file, sample_rate, max_seconds)
    except soundfile.LibsndfileError as error:
        raise InputError(f"this {kind} file is damaged or truncated: {_reason(error)}") from error


def _check_header(file: soundfile.SoundFile, max_seconds: float) -> None:
    if not RATES[0] <= file.samplerate <= RATES[1]:
        raise Unprocessable(
            f"sample rate {file.samplerate} Hz: must be from {RATES[0]} to {RATES[1]}"
        )
    if not 1 <= file.channels <= MAX_CHANNELS:
        raise Unprocessable(f"{file.channels} channels: at most {MAX_CHANNELS}")
    if file.frames > max_seconds * file.samplerate:
        raise _too_long(file.frames / file.samplerate, max_seconds)


def _read(file: soundfile.SoundFile, sample_rate: int, max_seconds: float) -> Samples:
    resampler = StreamingResampler(file.samplerate, sample_rate)
    parts, frames = [], 0
    for block in _blocks(file):
        frames += len(block)
        # The header may state less than the file holds.
        if frames > max_seconds * file.samplerate:
            raise _too_long(frames / file.samplerate, max_seconds)
        mono = block.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mono).all():
            raise Unprocessable("the file holds NaN or infinity")
        parts.append(resampler.feed(mono))
    if not frames:
        raise Unprocessable("the file holds no samples")
    return np.concatenate([*parts, resampler.finish()])


def _blocks(file: soundfile.SoundFile) -> Iterator[Samples]:
    size = max(1, _BLOCK // file.channels)
    while len(block := file.read(size, dtype="float32", always_2d=True)):
        yield block


def _too_long(seconds: float, limit: float) -> TooLarge:
    return TooLarge(f"{seconds:.1f} s of sound: at most {limit:g} s")


def _reason(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).strip().rstrip(".") or f"code {error.code}"
