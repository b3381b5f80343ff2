"""Raw audio bytes to samples. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.errors import InputError, Unprocessable
from features.config import Samples
from service.protocol import SAMPLE_BYTES

LOUDEST = 16.0
"""Floats beyond this are no audio in [-1, 1], however clipped: most often integers sent as floats.
"""
HEADERS = {b"RIFF": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg", b"ID3": "MP3"}
"""How files begin that are sent by mistake as raw audio."""


def frame_bytes(encoding: str, channels: int) -> int:
    """Return the bytes of one sample of all channels."""
    return SAMPLE_BYTES[encoding] * channels


def mono(data: bytes | memoryview, *, encoding: str, channels: int) -> Samples:
    """Return the mean over the channels, float32 (n,), at the scale of [-1, 1].

    Raises InputError if the bytes end within a sample, Unprocessable on floats that are no audio.
    """
    size = frame_bytes(encoding, channels)
    if len(data) % size:
        raise InputError(
            f"{len(data)} bytes are not a whole number of {size}-byte samples ({encoding} x {channels})"
        )
    samples = _from_s16(data) if encoding == "pcm_s16le" else _from_f32(data)
    if channels == 1:
        return samples
    return np.asarray(samples.reshape(-1, channels).mean(axis=1), np.float32)


def header(data: bytes | memoryview) -> str | None:
    """Return the kind of sound file these bytes begin like, if any."""
    begin = bytes(data[:4])
    return next((kind for magic, kind in HEADERS.items() if begin.startswith(magic)), None)


def _from_s16(data: bytes | memoryview) -> Samples:
    samples: Samples = np.multiply(
        np.frombuffer(data, "<i2"), np.float32(1 / 32_768), dtype=np.float32
    )
    return samples


def _from_f32(data: bytes | memoryview) -> Samples:
    samples: npt.NDArray[np.float32] = np.frombuffer(data, "<f4").astype(np.float32)
    # Written so that NaN fails it too.
    if samples.size and not (samples.min() >= -LOUDEST and samples.max() <= LOUDEST):
        raise Unprocessable(
            "float samples must be finite and within [-1, 1]; some are NaN or far beyond"
        )
    return samples
