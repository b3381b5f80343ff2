"""A latency histogram with fixed buckets."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate

BOUNDS_MS = (
    1.0,
    2.0,
    3.0,
    5.0,
    7.0,
    10.0,
    15.0,
    20.0,
    30.0,
    50.0,
    70.0,
    100.0,
    200.0,
    500.0,
    1_000.0,
    2_000.0,
    5_000.0,
)
"""Upper bounds of the buckets; one more holds what is above."""


class Histogram:
    """Counts of durations in buckets of growing width. Pure."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_MS) + 1)
        """One for each bucket: above the bound before it, not above its own."""
        self.sum_ms = 0.0
        self.max_ms = 0.0

    def record(self, ms: float) -> None:
        """Count a duration."""
        self.counts[bisect_left(BOUNDS_MS, ms)] += 1
        self.sum_ms += ms
        self.max_ms = max(self.max_ms, ms)

    def quantile(self, share: float) -> float:
        """Return a quantile (0..1) in ms: its bucket's bound, or the largest recorded if less."""
        rank = share * sum(self.counts)
        for bound, below in zip(BOUNDS_MS, accumulate(self.counts), strict=False):
            if below >= rank:
                return min(bound, self.max_ms)
        return self.max_ms
