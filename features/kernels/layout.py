"""Sizes that kernels and their callers share; nothing is compiled for knowing them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

LANES = 8
PAIR = 2 * LANES  # real and imaginary parts of a bin
N_FFT = 2048
HOP = 512
HALF = N_FFT // 2
BINS = HALF + 1
BANDS = 128  # mel bands for which the cepstra are compiled
BLOCK = N_FFT + (LANES - 1) * HOP
STRIDE = 16  # the 11 hops of a block, padded
PEAKS = 180  # more local maxima do not fit between 150 and 4000 Hz
STEP_16 = np.float32(1 / 32_768)  # one unit of a 16-bit sample: full scale is 1
QUIET = np.float32(-1e-10)  # a sample below it is negative, for crossings of zero
# A row holds what is kept of one frame: bytes from its begin to each part.
STATS_AT, COUNT_AT, TUNED_AT, POWER_AT = 0, 48, 56, 64
HEIGHTS_AT = POWER_AT + 4 * BINS
TUNINGS_AT = HEIGHTS_AT + 4 * PEAKS
MEL_AT = 5120  # behind all others; a row of the kind `log_mel` holds nothing else
CHROMA, RMS, CENTROID, BANDWIDTH, ROLLOFF, CROSSINGS = range(6)


def digit_reversed() -> npt.NDArray[np.int64]:
    """Positions of the `HALF` bins after the transform: their five base-4 digits, reversed."""
    digits = np.arange(HALF)[:, None] // 4 ** np.arange(5) % 4
    return digits @ 4 ** np.arange(4, -1, -1)
