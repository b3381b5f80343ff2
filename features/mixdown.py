"""Interleaved channels to mono samples, in one pass over the received bytes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.config import Samples
from features.kernel_loader import address, entries
from features.layout import STEP_16

_ENTRIES = {"h": "mix_int16", "f": "mix_float32"}


def mixdown(samples: npt.NDArray[np.int16] | npt.NDArray[np.float32], *, channels: int) -> Samples:
    """Return the mean over interleaved channels, float32 (n,), as a new array.

    samples: n x `channels` values, flat or (n, channels); int16 is scaled to [-1, 1), float32 is
    kept as it is. Raises TypeError on another dtype, ValueError on a part of a sample.
    """
    code = samples.dtype.char
    if code not in _ENTRIES:
        raise TypeError(f"samples of {samples.dtype}: int16 or float32 are needed")
    count, rest = divmod(samples.size, channels)
    if rest:
        raise ValueError(f"{samples.size} values are not a whole number of {channels} channels")
    # numpy's own loop is as fast, and small messages pay nothing for the call.
    if channels == 1:
        mono: Samples = samples.ravel().astype(np.float32)
        if code == "h":
            mono *= STEP_16
        return mono
    contiguous = np.ascontiguousarray(samples)
    mono = np.empty(count, np.float32)
    entries()[_ENTRIES[code]](address(contiguous), channels, count, address(mono))
    return mono
