"""How late the event loop runs what is due: a histogram, what feels it, and what is done about it."""

from __future__ import annotations

import asyncio
import time
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
TICK_S = 0.01
SHARE_S = 0.005
"""Seconds of streams' work in one turn of the loop; what else came waits for the next turn."""
TOO_LATE_MS = 100.0
LATE_TICKS = 3
"""A loop that turns later than this, so often in a row, has more to do than it can; once, it makes
up for."""
IN_TIME_MS = 20.0
CALM_TICKS = 20
"""Ticks in a row in time after which a little more work is tried."""
MAX_THINNING = 64


class Histogram:
    """Counts of durations in buckets that grow with them. Pure."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_MS) + 1)
        """How many fell into each bucket: over the bound before, not over its own."""
        self.sum_ms = 0.0
        self.max_ms = 0.0

    def note(self, ms: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS_MS, ms)] += 1
        self.sum_ms += ms
        self.max_ms = max(self.max_ms, ms)

    def quantile(self, share: float) -> float:
        """Return what at least this share (0..1) does not exceed, ms: a bucket's bound, or the largest noted."""
        wanted = share * sum(self.counts)
        for bound, below in zip(BOUNDS_MS, accumulate(self.counts), strict=False):
            if below >= wanted:
                return min(bound, self.max_ms)
        return self.max_ms


class Thinning:
    """Of how many windows of each stream one is computed, so that the loop keeps up. Pure."""

    def __init__(self) -> None:
        self.one_of = 1
        self._calm = self._late = 0

    def note(self, ms: float) -> None:
        """Take in how late the loop was: too late for long, and fewer are computed; calm brings them back."""
        self._calm = self._calm + 1 if ms <= IN_TIME_MS else 0
        self._late = self._late + 1 if ms > TOO_LATE_MS else 0
        if self._late >= LATE_TICKS:
            self.one_of = min(MAX_THINNING, self.one_of + max(1, self.one_of // 2))
        elif self._calm >= CALM_TICKS:
            self.one_of = max(1, self.one_of - max(1, self.one_of // 4))
            self._calm = 0


class Lag:
    """Wakes up every 10 ms and notes how much too late it was, which is for how long the loop did not turn."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.thinning = Thinning()
        self._due = 0.0
        self._turn: float | None = None  # when the first piece of work of this turn began
        self._waited = 0.0  # by who came last
        self._felt_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure, in the running loop."""
        self._due = time.monotonic() + TICK_S
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    async def turn(self) -> None:
        """Wait, in line, for a turn of the loop that has time for a piece of work.

        However much comes at once, the loop goes on turning; a wait is felt by the thinning as a
        late loop is.
        """
        since = now = time.monotonic()
        while self._is_full(now):
            await asyncio.sleep(0)
            now = time.monotonic()
        self._waited = now - since

    def stalled(self, now: float) -> float:
        """Return for how many seconds too long the loop has been in this turn; what is handled now came before it."""
        return max(0.0, now - self._due) if self._timer else 0.0

    def stop(self) -> None:
        """Stop; what was noted stays."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _is_full(self, now: float) -> bool:
        if self._turn is None:
            self._turn = now
            asyncio.get_running_loop().call_soon(self._begin_turn)
        return now - self._turn > SHARE_S

    def _begin_turn(self) -> None:
        self._turn = None

    def _tick(self) -> None:
        now = time.monotonic()
        late = max(0.0, now - self._due)
        self.histogram.note(1e3 * late)
        delay = max(late, self._waited)
        # Many wait for the same reason: one delay is felt once while it lasts.
        if 1e3 * delay <= TOO_LATE_MS or now >= self._felt_until:
            self.thinning.note(1e3 * delay)
            self._felt_until = now + delay
        self.start()
