"""Counts the jobs that have no result yet, and tells since when the oldest waits."""

from __future__ import annotations

import time

from service.metrics.metrics import Metrics

KINDS = {True: "live", False: "clips"}


class JobCounter:
    """The jobs of one process, by model and kind."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._since: dict[tuple[str, str], dict[str, float]] = {}

    def begin(self, job: str, labels: tuple[str, str]) -> None:
        """Count a job, by its id; labels: model and kind."""
        jobs = self._since.setdefault(labels, {})
        now = time.monotonic()
        if not jobs:
            self._metrics.queue_oldest.set(now, *labels)
        jobs[job] = now
        self._metrics.queue_jobs.set(len(jobs), *labels)

    def end(self, job: str, labels: tuple[str, str]) -> None:
        """Count a job no more."""
        jobs = self._since[labels]
        since = jobs.pop(job)
        oldest = next(iter(jobs.values()), 0.0)
        if oldest != since:
            self._metrics.queue_oldest.set(oldest, *labels)
        self._metrics.queue_jobs.set(len(jobs), *labels)
