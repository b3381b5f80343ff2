"""How long a job will wait behind others, learnt from the waits of those before it. Pure."""

from __future__ import annotations

import math

WEIGHT = 0.2
"""Of the newest wait."""
MIN_AHEAD = 2
"""Jobs behind which one is always admitted: without new waits the estimate would never change."""


class WaitEstimate:
    """Learns the time of a job without a queue, and what each job before it adds."""

    def __init__(self) -> None:
        self._base_s = math.inf
        self._per_job_s = 0.0

    def record(self, *, ahead: int, wait_s: float) -> None:
        """Learn from one job. ahead: jobs in the queue when it was added."""
        if wait_s < self._base_s:
            self._base_s = wait_s
        elif ahead:
            added_s = (wait_s - self._base_s) / ahead
            self._per_job_s += WEIGHT * (added_s - self._per_job_s)

    def seconds(self, ahead: int) -> float:
        """Return how long a job will take behind so many others; 0 while nothing is known."""
        return self._base_s + ahead * self._per_job_s if self._per_job_s else 0.0

    def most_ahead(self, seconds: float) -> int | None:
        """Return behind how many others a job takes no longer than that; None: any number."""
        if not self._per_job_s:
            return None
        return max(MIN_AHEAD, int((seconds - self._base_s) / self._per_job_s))
