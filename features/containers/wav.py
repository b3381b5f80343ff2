"""Reads WAV files of plain PCM without libsndfile."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

_DTYPES: dict[tuple[int, int], str] = {(1, 16): "<i2", (3, 32): "<f4"}
"""By format tag and bits: what needs no conversion."""
_MAX_CHUNKS = 8
"""Up to the sound, of a plain file."""
_SKIPPED = (b"LIST", b"JUNK", b"fact", b"PEAK")
"""Chunks before the sound that do not change it."""

Values: TypeAlias = npt.NDArray[np.int16] | npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PcmFile:
    """The samples of a WAV file, where its bytes are."""

    samplerate: int
    channels: int
    values: Values
    """Shape (frames, channels)."""
    is_whole: bool
    """Whether its sound ends where the file does."""

    @property
    def frames(self) -> int:
        """Samples of each channel."""
        return len(self.values)


def read_pcm(data: bytes) -> PcmFile | None:
    """Return a plain WAV file of 16-bit or float32 PCM; None: leave it to libsndfile.

    data: of a WAV file whose sizes hold.
    """
    layout = None
    for name, body, size in islice(_chunks(data), _MAX_CHUNKS):
        if name == b"fmt " and layout is None:
            layout = _layout(data, body, size)
        elif name == b"data" and layout is not None and body + size <= len(data):
            rate, channels, dtype = layout
            frames = size // (channels * dtype.itemsize)
            values = np.frombuffer(data, dtype, frames * channels, offset=body)
            aligned = np.require(values, requirements="A").reshape(frames, channels)
            return PcmFile(rate, channels, aligned, len(data) - body - size in {0, size % 2})
        elif name not in _SKIPPED:
            break
    return None


def _layout(data: bytes, body: int, size: int) -> tuple[int, int, np.dtype[np.generic]] | None:
    """Return rate, channels and dtype of a format chunk; None if it is not plain."""
    if (
        data[:4] != b"RIFF"
        or data[8:12] != b"WAVE"
        or size not in {16, 18}
        or body + size > len(data)
    ):
        return None
    tag, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", data, body)
    name = _DTYPES.get((tag, bits))
    if name is None or not channels or not rate or frame != channels * bits // 8:
        return None
    return rate, channels, np.dtype(name)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, offset and size of the chunks of a RIFF file, up to one beyond its end."""
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        yield name, at + 8, size
        at += 8 + size + size % 2
