"""Times several subjects side by side, and describes the machine."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

Number = TypeVar("Number", int, float)


def in_turn(
    subjects: Mapping[str, Callable[[], Any]], *, rounds: int, calls: int = 10
) -> dict[str, list[float]]:
    """Return milliseconds of each call; blocks alternate, so that load affects all subjects.

    The first call of a block is not counted: it pays for the caches that the other subject filled.
    """
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            subject()
            for _ in range(calls):
                begin = time.perf_counter()
                subject()
                times[name].append(1_000 * (time.perf_counter() - begin))
    return times


def rows(times: dict[str, list[float]], *, ours: str, **extra: object) -> list[dict[str, Any]]:
    """Return a row per subject: name, median_ms, p10_ms, p90_ms, ratio (median over `ours`)."""
    base = float(np.median(times[ours]))
    table = []
    for name, measured in times.items():
        p10, median, p90 = (float(value) for value in np.percentile(measured, (10, 50, 90)))
        row = {"name": name, **extra, "median_ms": median, "p10_ms": p10, "p90_ms": p90}
        table.append({**row, "ratio": median / base})
    return table


def machine() -> dict[str, Any]:
    """Return what a figure is worth nothing without: processor, cores, load, Python, commit."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "commit": _commit(),
    }


def _processor() -> str:
    lines: Iterable[str] = []
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    root = Path(__file__).parent.parent
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return answer.stdout.strip() or "unknown"


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
