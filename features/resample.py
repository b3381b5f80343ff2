"""Sample-rate conversion, whole or in chunks with the same result (soxr, quality HQ)."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import soxr

from features.config import Samples

PROBED_BLOCKS = 20
UNEVEN = 12
"""Samples by which the blocks that soxr gives may differ together from even ones."""
PIECE = 4_000
"""Samples of a stream that are converted at once: soxr has a buffer for the longest piece at each
of its stages, and never makes one smaller."""
_NOTHING = np.zeros(0, np.float32)


class StreamingResampler:
    """Convert a stream from one rate to another; the result does not depend on the chunks.

    Output trails input by the filter's length (a few milliseconds) until `finish`. Equal rates pass
    through.
    """

    def __init__(self, from_rate: int, to_rate: int) -> None:
        self._rates = from_rate, to_rate
        self._soxr: soxr.ResampleStream | None = (
            None  # made by the first samples: an idle stream costs nothing
        )

    def feed(self, samples: Samples) -> Samples:
        """Convert a chunk, float32 (n,); return the samples that are ready, float32 (m,)."""
        if self._rates[0] == self._rates[1]:
            return samples
        if len(samples) <= PIECE:
            return self.convert(samples)
        begins = range(0, len(samples), PIECE)
        return np.concatenate([self.convert(samples[at : at + PIECE]) for at in begins])

    def convert(self, samples: Samples) -> Samples:
        """Convert a chunk of other rates at once: faster, but its buffers are kept as long."""
        if self._soxr is None:
            self._soxr = soxr.ResampleStream(*self._rates, 1, dtype="float32", quality="HQ")
        resampled: Samples = self._soxr.resample_chunk(samples)
        return resampled

    def input_for(self, count: int) -> int:
        """Return after how many samples of input, in all, `count` samples of output are ready.

        Exact to about a millisecond, rather too few: soxr gives its output in blocks.
        """
        if self._rates[0] == self._rates[1]:
            return count
        first_input, first, block = _blocks(*self._rates)
        blocks = max(0, math.ceil((count - UNEVEN - first) / block))
        return first_input + math.floor(blocks * block * self._rates[0] / self._rates[1])

    def finish(self) -> Samples:
        """Return the remaining samples, float32 (m,). `feed` must not be called afterwards."""
        return _NOTHING if self._soxr is None else self._soxr.resample_chunk(_NOTHING, last=True)


@lru_cache(maxsize=64)
def _blocks(from_rate: int, to_rate: int) -> tuple[int, int, float]:
    """Return the input before the first output of soxr, its size, and that of the later blocks."""
    step = max(1, from_rate // 1_000)
    resampler, silence = StreamingResampler(from_rate, to_rate), np.zeros(step, np.float32)
    changes: list[tuple[int, int]] = []
    fed = ready = 0
    while len(changes) < PROBED_BLOCKS:
        fed += step
        if gained := len(resampler.feed(silence)):
            ready += gained
            changes.append((fed, ready))
    (first_fed, first), (_, last) = changes[0], changes[-1]
    return first_fed - step, first, (last - first) / (PROBED_BLOCKS - 1)


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Convert a whole signal, float32 (n,), rates in hertz; return float32 (m,)."""
    if from_rate == to_rate:
        return samples.copy()
    resampler = StreamingResampler(from_rate, to_rate)
    return np.concatenate((resampler.convert(samples), resampler.finish()))


def aligned(from_rate: int, to_rate: int) -> int:
    """Return the samples at `from_rate` between two instants on a sample of both rates."""
    return from_rate // math.gcd(from_rate, to_rate)
