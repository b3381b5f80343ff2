"""Compiles the kernels to disk, so that the first start is as fast as later ones.

`python -m features.warm` does it at installation.
"""

from __future__ import annotations

import numpy as np

from features.config import DEFAULT
from features.extract import compute
from features.streaming import StreamingExtractor


def warm() -> None:
    """Run every kernel once; takes seconds the first time on a machine, a fraction of one later."""
    noise = np.random.default_rng(0).standard_normal(DEFAULT.window).astype(np.float32)
    compute(noise, kind="features")
    compute(noise, kind="log_mel")
    StreamingExtractor(hop=DEFAULT.live_hop(0.5)).feed(noise)


if __name__ == "__main__":
    warm()
