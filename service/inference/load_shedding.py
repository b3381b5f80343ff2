"""Load shedding: how many windows of each stream are computed while the event loop lags."""

from __future__ import annotations

HIGH_LAG_MS = 100.0
HIGH_TICKS = 3
"""Ticks in a row with high lag after which load is shed; a single one can be made up for."""
LOW_LAG_MS = 20.0
LOW_TICKS = 20
"""Ticks in a row with low lag after which a little more is computed."""
MAX_ONE_OF = 64


class LoadShedder:
    """Computes one of every `one_of` windows of a stream, so that the loop keeps up. Pure."""

    def __init__(self) -> None:
        self.one_of = 1
        """1: every window is computed."""
        self._low = self._high = 0

    def update(self, lag_ms: float) -> None:
        """Count the lag of one tick: lasting high lag sheds more load, lasting low lag less."""
        self._low = self._low + 1 if lag_ms <= LOW_LAG_MS else 0
        self._high = self._high + 1 if lag_ms > HIGH_LAG_MS else 0
        if self._high >= HIGH_TICKS:
            self.one_of = min(MAX_ONE_OF, self.one_of + max(1, self.one_of // 2))
        elif self._low >= LOW_TICKS:
            self.one_of = max(1, self.one_of - max(1, self.one_of // 4))
            self._low = 0
