"""The kernels of the features: shipped or compiled, for which instructions, and if right."""

from __future__ import annotations

import platform
import time
import timeit
from pathlib import Path

import numpy as np
import numpy.typing as npt

from features.config import Samples
from features.extract import extract
from features.kernels.loader import compiled_file, shipped
from service.doctor.finding import Finding, attention, bad, good

INSTRUCTIONS = ("avx512f", "avx2", "avx", "sse4_2", "asimd", "neon")
"""Widest first, as /proc/cpuinfo names them."""
LARGEST_DEVIATION = 1e-4
"""Of a feature, relative to its own size or to 1."""
# Of `probe`, by librosa 0.11.
EXPECTED = np.array([
    0.195199, 0.118791, 606.435, 467.389, 1031.12, 0.0589193, -518.814, 58.6624, 22.5561,
    8.57162, 15.4954, 22.0868, 18.0062, 11.4502, 12.1628, 16.1244, 15.1518, 10.5714, 9.18711,
    11.0969, 10.6663, 6.94136, 4.29826, 4.42477, 3.8719, 0.579605,
])  # fmt: skip


def probe() -> Samples:
    """Return a rising tone over a hum, float32 (44100,)."""
    t = np.arange(44_100) / 22_050
    tone = 0.3 * np.sin(2 * np.pi * (220 * t + 400 * t * t)) * np.exp(-t)
    return (tone + 0.1 * np.sin(2 * np.pi * 97 * t)).astype(np.float32)


def check_kernels() -> list[Finding]:
    """Compute the features of the probe, and say where the kernels are kept."""
    begin = time.perf_counter()
    found = extract(probe())
    first_s = time.perf_counter() - begin
    ms = 1e3 * min(timeit.repeat(lambda: extract(probe()), number=1, repeat=5))
    return [check_parity(found, ms=ms), check_compiled(compiled_file(), first_s=first_s)]


def check_parity(found: npt.NDArray[np.float32], *, ms: float) -> Finding:
    """Compare the features of the probe with librosa's. ms: what a window took."""
    off = np.abs(found - EXPECTED) / np.maximum(1, np.abs(EXPECTED))
    largest = float(np.max(np.where(np.isfinite(off), off, np.inf)))
    text = f"a window in {ms:.2f} ms, off by {largest:.1e} from librosa ({instructions()})"
    if largest > LARGEST_DEVIATION:
        return bad(
            "features",
            text,
            "remove features/kernels/__pycache__ and ~/.cache/timbre, and report this processor",
        )
    return good("features", text)


def check_compiled(file: Path | None, *, first_s: float) -> Finding:
    """Say which kernels run: those shipped, or those compiled here and where they are kept."""
    if file:
        return good("kernels", f"{'shipped' if file == shipped() else 'compiled'}: {file}")
    return attention(
        "kernels",
        f"compiled in {first_s:.0f} s, and kept nowhere: every start compiles them",
        "let the user write ~/.cache/timbre (XDG_CACHE_HOME); in a container, on a volume",
    )


def instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Return the machine, and its widest instructions where they are told."""
    try:
        words = set(cpuinfo.read_text(encoding="utf-8").split())
    except OSError:
        words = set()
    widest = next((name for name in INSTRUCTIONS if name in words), "")
    return f"{platform.machine()} {widest}".strip()
