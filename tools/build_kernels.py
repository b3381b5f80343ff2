#!/usr/bin/env python3
"""Compile the kernels that are shipped, for each processor; `make kernels` runs it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from features.kernels.loader import SHIPPED, compile_kernels

if __name__ == "__main__":
    compile_kernels(str(SHIPPED))
    sizes = [f"{path.name}: {path.stat().st_size} bytes\n" for path in sorted(SHIPPED.iterdir())]
    sys.stdout.writelines(sizes)
