"""The orthonormal DCT-II in float32, for numbers of bands that have no kernel.

The steps and their rounding are scipy's (pocketfft, after Makhoul, 1980), whose FFT is numpy's too:
rounding is visible in means near zero.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from features.banks import Floats


def dct(values: Floats) -> Floats:
    """Return the DCT-II of each row, float32 (rows, size), from float32 (rows, size)."""
    size = values.shape[1]
    half, cosines = (size + 1) // 2, _cosines(size)
    spectrum = np.zeros((len(values), size // 2 + 1), np.complex64)
    ends = slice(1, half)
    left, right = values[:, 1 : size - 1 : 2], values[:, 2:size:2]
    spectrum.real[:, 0] = values[:, 0] * np.float32(2)
    spectrum.real[:, ends], spectrum.imag[:, ends] = right + left, right - left
    if size % 2 == 0:
        spectrum.real[:, -1] = values[:, -1] * np.float32(2)
    # Only with its own factor, 1 / size, does numpy stay in float32.
    out: Floats = np.fft.irfft(spectrum, size, axis=1).astype(np.float32, copy=False)
    out *= np.float32(np.sqrt(size / 2))
    near, far = out[:, ends], out[:, : size - half : -1]
    w, v = cosines[: half - 1], cosines[: size - half - 1 : -1]
    one, two = w * far + v * near, w * near - v * far
    # The views must be read before they are written.
    out[:, ends], out[:, : size - half : -1] = (one + two) / 2, (one - two) / 2
    if size % 2 == 0:
        out[:, half] *= cosines[half - 1]
    out[:, 0] *= np.float32(np.sqrt(2)) / 2
    return out


@lru_cache(maxsize=8)
def _cosines(size: int) -> Floats:
    """cos(pi k / (2 * size)) for k = 1 .. size - 1."""
    return np.cos(np.pi * np.arange(1, size) / (2 * size)).astype(np.float32)
