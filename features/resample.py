"""Sample-rate conversion, whole or in chunks with the same result (soxr, quality HQ)."""

from __future__ import annotations

import math

import numpy as np
import soxr

from features.config import Samples

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
        if self._soxr is None:
            self._soxr = soxr.ResampleStream(*self._rates, 1, dtype="float32", quality="HQ")
        resampled: Samples = self._soxr.resample_chunk(samples)
        return resampled

    def finish(self) -> Samples:
        """Return the remaining samples, float32 (m,). `feed` must not be called afterwards."""
        return _NOTHING if self._soxr is None else self._soxr.resample_chunk(_NOTHING, last=True)


def resample(samples: Samples, from_rate: int, to_rate: int) -> Samples:
    """Convert a whole signal, float32 (n,), rates in hertz; return float32 (m,)."""
    resampler = StreamingResampler(from_rate, to_rate)
    return np.concatenate((resampler.feed(samples), resampler.finish()))


def aligned(from_rate: int, to_rate: int) -> int:
    """Return the samples at `from_rate` between two instants on a sample of both rates."""
    return from_rate // math.gcd(from_rate, to_rate)
