"""Which of the shipped kernels this machine runs: by operating system and instruction set."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_V3 = {
    *("cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"),
    *("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"),
}
LEVELS: dict[str, dict[str, set[str]]] = {
    "x86_64": {
        "x86-64-v4": _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"},
        "x86-64-v3": _V3,
        "x86-64": set(),
    },
    "aarch64": {"aarch64": set()},
}
"""Of each machine, best first, and the flags of /proc/cpuinfo that it needs (x86-64 psABI)."""


def level(cpuinfo: Path = CPUINFO) -> str | None:
    """Return the best level of this machine; None where none is shipped for it."""
    if sys.platform != "linux":
        return None
    has = flags(cpuinfo)
    levels = LEVELS.get(platform.machine(), {})
    return next((name for name, needed in levels.items() if needed <= has), None)


def flags(cpuinfo: Path = CPUINFO) -> set[str]:
    """Return what all cores can, as Linux names it; nothing where it is not told."""
    try:
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    cores = [set(line.split()[2:]) for line in lines if line.startswith(("flags\t", "Features\t"))]
    return set.intersection(*cores) if cores else set()
