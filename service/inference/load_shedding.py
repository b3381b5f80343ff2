"""Load shedding: how many windows of a stream are computed while the event loop is late."""

from __future__ import annotations

TOO_LATE_MS = 100.0
LATE_TICKS = 3
"""A loop that turns later than this, so often in a row, has more to do than it can; once, it makes
up for."""
IN_TIME_MS = 20.0
CALM_TICKS = 20
"""Ticks in a row in time after which a little more work is tried."""
MAX_THINNING = 64


class LoadShedder:
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
