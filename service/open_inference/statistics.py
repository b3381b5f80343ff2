"""Counts of the requests to each model, as the statistics of Triton have them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from service.metrics.metrics import Metrics
from service.metrics.slot import Labels
from service.metrics.totals import Totals

Series: TypeAlias = dict[Labels, list[float]]
STAGES = ("queue", "compute_input", "compute_infer", "compute_output")
"""Of a request that succeeds: the wait for the model; reading the tensors; the model; writing."""
COUNTED = ("success", "fail", *STAGES)


@dataclass
class RequestCount:
    """What one request adds to the statistics; filled while it is answered."""

    begin: float = field(default_factory=time.monotonic)
    """time.monotonic() when its body had arrived."""
    rows: int = 0
    ns: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STAGES, 0))
    """By stage."""

    def restart(self) -> None:
        """Count from now on: the body has arrived."""
        self.begin = time.monotonic()

    @property
    def taken_ns(self) -> int:
        """Nanoseconds since then."""
        return round(1e9 * (time.monotonic() - self.begin))

    def add(self, stage: str, seconds: float) -> None:
        """Add to a stage."""
        self.ns[stage] += round(1e9 * seconds)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block of work as a stage."""
        begin = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - begin)


class Statistics:
    """Counts requests, and tells the counts of all processes of the machine."""

    def __init__(self, metrics: Metrics) -> None:
        """metrics: of this process."""
        self._metrics = metrics
        self._totals = Totals(metrics)
        self._lock = threading.Lock()

    @contextmanager
    def request(self, model: str, version: str) -> Iterator[RequestCount]:
        """Count what is done in the block: a success, or a failure if it raises."""
        count, metrics, of = RequestCount(), self._metrics, (model, version)
        try:
            yield count
        except BaseException:
            # A client that has left is one as well.
            self._count("fail", of, count)
            raise
        self._count("success", of, count)
        metrics.inference_rows.add(*of, by=count.rows)
        metrics.last_inference.set(time.time(), *of)
        for stage, ns in count.ns.items():
            metrics.inference_seconds.add(*of, stage, by=ns / 1e9)

    def _count(self, result: str, of: tuple[str, str], count: RequestCount) -> None:
        self._metrics.inferences.add(*of, result)
        self._metrics.inference_seconds.add(*of, result, by=count.taken_ns / 1e9)

    def describe(self, wanted: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        """Return the statistics of these versions, in their order. Thread-safe. Raises OSError."""
        metrics = self._metrics
        families = (
            metrics.inferences,
            metrics.inference_rows,
            metrics.inference_seconds,
            metrics.last_inference,
        )
        with self._lock:
            found = self._totals.read(*(each.name for each in families))
        return [
            _statistics(version, *(found[each.name] for each in families)) for version in wanted
        ]


def _statistics(
    of: tuple[str, str], requests: Series, rows: Series, seconds: Series, last: Series
) -> dict[str, Any]:
    """Return the statistics of a model's version."""

    def value(series: Series, *more: str) -> float:
        return series.get((*of, *more), [0.0])[0]

    return {
        "name": of[0],
        "version": of[1],
        "last_inference": round(1e3 * value(last)),
        "inference_count": round(value(rows)),
        "execution_count": 0,
        "inference_stats": {
            name: {
                "count": round(value(requests, "fail" if name == "fail" else "success")),
                "ns": round(1e9 * value(seconds, name)),
            }
            for name in COUNTED
        }
        | {name: {"count": 0, "ns": 0} for name in ("cache_hit", "cache_miss")},
        "batch_stats": [],
    }
