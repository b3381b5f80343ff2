"""Load shedding: what a gateway that is behind still computes, and for how long it sheds."""

from __future__ import annotations

import math

BEHIND_S = 0.1
"""A stream that waited longer for its turn of the event loop is behind: it sheds load."""
MAX_AGE, MAX_AGE_OF_NEWEST = 0.5, 0.75
"""Shares of `window_deadline` past which a window of such a stream, and its newest one, is not
computed: the rest of the time is for the model."""
CLIPS_S = 1.0
"""Seconds of load shedding after which a model takes no clips: its streams need all there is."""
QUIET_S = 2.0
"""Seconds without a dropped window after which load shedding has ended."""


class LoadShedder:
    """Records the windows that were dropped for want of capacity. Pure."""

    def __init__(self) -> None:
        self._spans: dict[str, tuple[float, float]] = {}
        """First and last drop without a break, by model; of all together by the empty name."""

    def record(self, now: float, *, model: str = "") -> None:
        """Count a window of a model that is dropped at `now`, in seconds."""
        for name in {"", model}:
            since, last = self._spans.get(name, (now, -math.inf))
            self._spans[name] = (now if now - last > QUIET_S else since, now)

    def duration_s(self, now: float, *, model: str = "") -> float:
        """Return for how many seconds load has been shed without a break; 0 when it is not.

        model: whose windows count; empty: all.
        """
        since, last = self._spans.get(model, (now, -math.inf))
        return 0.0 if now - last > QUIET_S else now - since
