"""Counts of the requests to each model, as the statistics of Triton have them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

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


class Counters(Protocol):
    """Where counts are kept."""

    def add(self, model: str, version: str, counts: dict[str, float]) -> None:
        """Add to the counts of a version."""

    def read(self) -> dict[tuple[str, str], dict[str, float]]:
        """Return all counts, by model and version."""


class LocalCounters:
    """The counts of this process."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], dict[str, float]] = {}

    def add(self, model: str, version: str, counts: dict[str, float]) -> None:
        """Add to the counts of a version."""
        mine = self._counts.setdefault((model, version), {})
        for name, amount in counts.items():
            mine[name] = mine.get(name, 0) + amount

    def read(self) -> dict[tuple[str, str], dict[str, float]]:
        """Return all counts, by model and version."""
        return {key: dict(counts) for key, counts in self._counts.items()}


class Statistics:
    """Counts requests, and tells the counts."""

    def __init__(self, counters: Counters | None = None) -> None:
        self._counters = counters or LocalCounters()

    @contextmanager
    def request(self, model: str, version: str) -> Iterator[RequestCount]:
        """Count what is done in the block: a success, or a failure if it raises."""
        count = RequestCount()
        try:
            yield count
        except BaseException:
            # A client that has left is one as well.
            self._counters.add(model, version, {"fail": 1, "fail_ns": count.taken_ns})
            raise
        self._counters.add(
            model,
            version,
            {
                "success": 1,
                "success_ns": count.taken_ns,
                "rows": count.rows,
                **{f"{stage}_ns": ns for stage, ns in count.ns.items()},
            },
        )

    def describe(self, wanted: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
        """Return the statistics of these versions, in their order."""
        found = self._counters.read()
        return [_statistics(*key, found.get(key, {})) for key in wanted]


def _statistics(model: str, version: str, counts: dict[str, float]) -> dict[str, Any]:
    success = int(counts.get("success", 0))
    return {
        "name": model,
        "version": version,
        "last_inference": int(counts.get("last_ms", 0)),
        "inference_count": int(counts.get("rows", 0)),
        "execution_count": int(counts.get("executions", 0)),
        "inference_stats": {
            name: {
                "count": int(counts.get("fail", 0)) if name == "fail" else success,
                "ns": int(counts.get(f"{name}_ns", 0)),
            }
            for name in COUNTED
        }
        | {name: {"count": 0, "ns": 0} for name in ("cache_hit", "cache_miss")},
        "batch_stats": [],
    }
