"""The bounds on the level of samples, for files and streams."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from common.errors import Unprocessable
from features.config import Samples

MAX_FLOAT = 16.0
"""Floats beyond this are not audio in [-1, 1], however clipped: usually integers sent as floats."""
SILENCE_PEAK = 10 ** (-80 / 20)
"""Sound below this is silence."""
FULL_SCALE = 0.999
"""A sample at or beyond this is clipped."""
CLIPPED_SHARE = 1e-3
"""Of the samples: more that are clipped make a clipped sound."""


def check_levels(samples: Samples | npt.NDArray[np.int16]) -> None:
    """Raise Unprocessable if a sample, float32 of any shape, is NaN or beyond +-`MAX_FLOAT`.

    Samples of 16 bits cannot be.
    """
    if samples.dtype == np.int16:
        return
    # Written so that NaN fails it too; numpy's minimum of NaN and a number is NaN.
    if samples.size and not (samples.min() >= -MAX_FLOAT and samples.max() <= MAX_FLOAT):
        raise Unprocessable(
            "float samples must be finite and within [-1, 1]; some are NaN, infinity or far beyond"
        )
