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
CHROMA, RMS, CENTROID, BANDWIDTH, ROLLOFF, CROSSINGS = range(6)


def digit_reversed() -> npt.NDArray[np.int64]:
    """Positions of the `HALF` bins after the transform: their five base-4 digits, reversed."""
    digits = np.arange(HALF)[:, None] // 4 ** np.arange(5) % 4
    return digits @ 4 ** np.arange(4, -1, -1)
