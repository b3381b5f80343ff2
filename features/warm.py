"""Runs the kernels once, and compiles them where none are shipped for this machine.

`python -m features.warm` does it at installation, and says which kernels they are.
"""

from __future__ import annotations

import sys

import numpy as np

from features.config import DEFAULT
from features.extract import compute
from features.kernels.loader import compiled_file
from features.streaming import StreamingExtractor


def warm() -> None:
    """Run every kernel once; takes half a minute the first time where none are shipped."""
    # Every frequency, and no generator of random numbers: a server never needs one.
    sweep = np.sin(1e-5 * np.arange(DEFAULT.window) ** 2).astype(np.float32)
    compute(sweep, kind="features")
    compute(sweep, kind="log_mel")
    StreamingExtractor(hop=DEFAULT.live_hop(0.5)).feed(sweep)


if __name__ == "__main__":
    warm()
    sys.stdout.write(f"kernels: {compiled_file() or 'compiled, and kept nowhere'}\n")
