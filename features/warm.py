"""Compiles the kernels to disk, so that the first start is as fast as later ones.

`python -m features.warm` does it at installation, and says for which instruction set.
"""

from __future__ import annotations

import sys

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


def target() -> str:
    """Return the processor and its widest vectors, for which the kernels are compiled."""
    # Not at the top: a process that serves holds no compiler.
    from llvmlite import binding

    has = binding.get_host_cpu_features()
    widest = next((name for name in ("avx512f", "avx2", "sve", "neon") if has.get(name)), "none")
    return f"{binding.get_host_cpu_name()}, vectors: {widest}"


if __name__ == "__main__":
    warm()
    sys.stdout.write(f"kernels for {target()}\n")
