"""Load shedding: what a gateway that is behind still computes, and for how long it sheds."""

from __future__ import annotations

import math

BEHIND_S = 0.1
"""A stream that waited longer for its turn of the event loop is behind: it sheds load."""
MAX_AGE, MAX_AGE_OF_NEWEST = 0.5, 0.75
"""Shares of `window_deadline` past which a window of such a stream, and its newest one, is not
computed: the rest of the time is for the model."""
QUIET_S = 2.0
"""Seconds without a dropped window after which load shedding has ended."""


class LoadShedder:
    """Records the windows that were dropped for want of capacity. Pure."""

    def __init__(self) -> None:
        self._since = self._last = -math.inf

    def record(self, now: float) -> None:
        """Count a window that is dropped at `now`, in seconds."""
        if now - self._last > QUIET_S:
            self._since = now
        self._last = now

    def duration_s(self, now: float) -> float:
        """Return for how many seconds load has been shed without a break; 0 when it is not."""
        return 0.0 if now - self._last > QUIET_S else now - self._since
