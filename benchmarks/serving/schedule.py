"""When load is due, and its latencies in numbers: pure, seeded, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Times: TypeAlias = npt.NDArray[np.float64]
Points: TypeAlias = list[tuple[float, float]]
"""Seconds since the load began, and milliseconds."""

PERCENTILES = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


@dataclass(kw_only=True)
class LoadOptions:
    """The options of a load of any kind."""

    ramp: float = 0.0
    """Seconds until the whole load is sent."""
    jitter: float = 0.0
    """Seconds at most by which something is sent later than it was due."""
    drops: float = 0.0
    """Share of the clients that disconnect before the response, or during their stream."""
    model: str = "instruments"


@dataclass(kw_only=True)
class Results:
    """The responses to all clients together."""

    points: Points = field(default_factory=list)
    """Of each response: when it was due, and milliseconds from then until it arrived."""
    reported_ms: list[float] = field(default_factory=list)
    """As reported by the server."""
    disconnected: int = 0


def clip_times(
    requests: int, *, rate: float, ramp: float, jitter: float, rng: np.random.Generator
) -> Times:
    """Return when each request is due, in seconds, ascending.

    rate: requests a second, reached by a straight climb from none in `ramp` seconds. jitter:
    seconds at most by which each comes later.
    """
    numbers = np.arange(requests, dtype=np.float64)
    climbed = rate * ramp / 2
    climb = np.sqrt(2 * ramp * np.minimum(numbers, climbed) / rate)
    return np.sort(
        climb + np.maximum(numbers - climbed, 0) / rate + rng.uniform(0, jitter, requests)
    )


def stream_times(streams: int, *, ramp: float, hop: float, rng: np.random.Generator) -> Times:
    """Return when each stream opens, over `ramp` seconds and at different offsets of the hop."""
    spread = np.arange(streams) * ramp / max(1, streams)
    return np.sort(spread if ramp >= hop else rng.uniform(0, hop, streams))


def chunk_times(seconds: float, *, chunk: float, jitter: float, rng: np.random.Generator) -> Times:
    """Return when each chunk is sent: at its last sample, plus up to `jitter` seconds, in order."""
    count = int(np.ceil(round(seconds / chunk, 6)))
    recorded = np.minimum(chunk * np.arange(1, count + 1), seconds)
    return np.maximum.accumulate(recorded + rng.uniform(0, jitter, count))


def summary(values: Iterable[float]) -> dict[str, float | None]:
    """Return the percentiles by name, rounded to a microsecond; None where there are no values."""
    known = np.fromiter(values, np.float64)
    if not known.size:
        return dict.fromkeys(PERCENTILES)
    return {name: round(float(np.percentile(known, at)), 3) for name, at in PERCENTILES.items()}


def largest(good: Callable[[int], bool], *, start: int, most: int, precision: float = 0.05) -> int:
    """Return the largest good count, 0 if none: doubled from `start` to `most`, then bisected.

    precision: share of the answer within which it is found.
    """
    low, high = 0, start
    while good(high):
        low = high
        if low >= most:
            return low
        high = min(2 * high, most)
    while high - low > max(1, precision * low):
        middle = (low + high) // 2
        low, high = (middle, high) if good(middle) else (low, middle)
    return low


def slices(points: Points, *, count: int = 40) -> list[dict[str, Any]]:
    """Return at most `count` equal slices of the time, none shorter than 50 ms.

    Each has `at` (s, its begin), `per_s` (answers that came in it) and the percentiles of what was
    due in it.
    """
    if not points:
        return []
    due, ms = np.array(points).T
    came = due + ms / 1e3
    width = max(came.max() / count, 0.05)
    edges = width * np.arange(int(np.ceil(round(came.max() / width, 6))) + 1)
    per_s = np.histogram(came, edges)[0] / width
    place = np.searchsorted(edges, due, side="right") - 1
    return [
        {"at": round(at, 3), "per_s": round(rate, 3)} | summary(ms[place == n])
        for n, (at, rate) in enumerate(zip(edges.tolist(), per_s.tolist(), strict=False))
    ]


def quantiles(values: Iterable[float]) -> list[tuple[float, float]]:
    """Return (percent, value) for a curve that shows the rare ones: denser the nearer to 100."""
    known = np.fromiter(values, np.float64)
    if not known.size:
        return []
    shares = [100 - 100 * 10 ** (-step / 20) for step in range(int(20 * np.log10(known.size)) + 1)]
    return [(round(share, 4), round(float(np.percentile(known, share)), 3)) for share in shares]
