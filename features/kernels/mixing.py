"""Compiled mix-down: interleaved channels to the mean over them, straight from the received bytes.

Two channels have a loop of their own, because LLVM vectorises it.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import numpy as np

from features.kernels.layout import STEP_16
from features.kernels.transform import jit


@jit
def mix_int16(samples, channels, out):
    """Write the mean over `channels` of `out.size` samples, of 16 bits."""
    if channels == 2:
        for i in range(out.size):
            both = np.float32(samples[np.uint64(2 * i)]) + np.float32(samples[np.uint64(2 * i + 1)])
            out[i] = both * STEP_16 / np.float32(2)
    else:
        for i in range(out.size):
            total = np.int64(0)
            for channel in range(channels):
                total += samples[i * channels + channel]
            out[i] = np.float32(total) * STEP_16 / np.float32(channels)


@jit
def mix_float32(samples, channels, out):
    """Write the mean over `channels` of `out.size` samples, added in order in float32."""
    if channels == 2:
        for i in range(out.size):
            out[i] = (samples[np.uint64(2 * i)] + samples[np.uint64(2 * i + 1)]) / np.float32(2)
    else:
        for i in range(out.size):
            total = np.float32(0)
            for channel in range(channels):
                total += samples[i * channels + channel]
            out[i] = total / np.float32(channels)
