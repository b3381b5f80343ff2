"""Times several subjects side by side, and describes the machine."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

ROOT = Path(__file__).parent.parent
Number = TypeVar("Number", int, float)


def in_turn(
    subjects: Mapping[str, Callable[[], Any]], *, rounds: int, calls: int = 10
) -> dict[str, list[float]]:
    """Return milliseconds of processor time of each call; blocks alternate: load affects all.

    Processor time of all threads: what runs on one thread takes as long on an idle core, while on
    a busy one a long call waits for others more often than a short one. The first call of a block
    is not counted: it pays for the caches that the other subject filled.
    """
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            subject()
            for _ in range(calls):
                begin = time.process_time()
                subject()
                times[name].append(1_000 * (time.process_time() - begin))
    return times


def rows(
    times: Mapping[str, Sequence[float]], *, ours: str, block: int = 1, **extra: object
) -> list[dict[str, Any]]:
    """Return a row per subject: name, median_ms, p25_ms, p75_ms, rounds, ratio and its quartiles.

    block: calls of a subject in a round. ratio: its time over that of `ours`, the median of the
    rounds, each of which saw the same load; ratio_p25, ratio_p75.
    """
    rounds = {name: _medians(measured, block) for name, measured in times.items()}
    table = []
    for name, measured in times.items():
        p25, median, p75 = quartiles(measured)
        low, ratio, high = quartiles(rounds[name] / rounds[ours])
        table.append(
            {
                "name": name,
                **extra,
                "median_ms": median,
                "p25_ms": p25,
                "p75_ms": p75,
                "rounds": len(rounds[name]),
                "ratio": ratio,
                "ratio_p25": low,
                "ratio_p75": high,
            }
        )
    return table


def quartiles(values: Sequence[float] | npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the 25th percentile, the median and the 75th."""
    p25, median, p75 = np.percentile(np.asarray(values), (25, 50, 75)).tolist()
    return p25, median, p75


def _medians(measured: Sequence[float], block: int) -> npt.NDArray[np.float64]:
    medians: npt.NDArray[np.float64] = np.median(np.reshape(measured, (-1, block)), axis=1)
    return medians


def machine() -> dict[str, Any]:
    """Return what a figure is worth nothing without: processor, load, commit and so on."""
    return {
        "processor": _processor(),
        "instruction_set": instruction_set(_cpuinfo("flags", "Features").split()),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "commit": commit(),
    }


def _processor() -> str:
    return _cpuinfo("model name") or platform.machine()


def instruction_set(flags: Collection[str]) -> str:
    """Return the widest vector instructions of a processor. flags: as Linux names them."""
    known = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sve": "SVE", "asimd": "NEON"}
    return next((name for flag, name in known.items() if flag in flags), platform.machine())


def _cpuinfo(*names: str) -> str:
    """Return the first value of Linux's table under one of the names; empty without it."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        name, _, value = line.partition(":")
        if name.strip() in names:
            return value.strip()
    return ""


def commit(root: Path = ROOT) -> str:
    """Return the commit of a checkout; `unknown` where git does not tell.

    It ends in `-dirty` if the code is not that of it; results and documents are no code.
    """
    found = git("rev-parse", "--short", "HEAD", root=root)
    changed = found and git("status", "--porcelain", "-uno", "--", "*.py", "*.toml", root=root)
    return f"{found}-dirty" if changed else found or "unknown"


def git(*command: str, root: Path = ROOT) -> str:
    """Return what git says of a checkout; empty without git, or where it fails."""
    if not shutil.which("git"):
        return ""
    answer = subprocess.run(  # noqa: S603
        ["git", "-C", str(root), *command],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip()


def within(
    low: float,
    high: float,
    kind: Callable[[str], Number] = float,  # type: ignore[assignment]
) -> Callable[[str], Number]:
    """Return what reads an option that must be a number from `low` to `high`."""

    def read(text: str) -> Number:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} must be between {low:,g} and {high:,g}")
        return value

    read.__name__ = getattr(kind, "__name__", "number")
    return read
