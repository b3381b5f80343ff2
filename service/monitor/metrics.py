"""What a monitor tells Prometheus: coverage, events and problems by source, and its sinks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from common.errors import TimbreError
from service.archive.records import EventRecord, MinuteRecord, ProblemRecord, Record
from service.metrics.families import Counter, Family, Gauge
from service.metrics.slot import Slot
from service.monitor.health import Problem
from service.settings import Settings

if TYPE_CHECKING:
    from service.monitor.sinks.base import SinkQueue

STATES = ("heard", "silent", "clipped", "dropped", "not_connected")
PROBLEMS: tuple[str, ...] = tuple(filter(None, get_args(Problem)))


class MonitorMetrics:
    """Counts what the sinks are told. docs/monitor.md tells what each metric means."""

    folder: Path | None = None

    def __init__(self, sources: Sequence[str]) -> None:
        """sources: their names, each shown from now on."""
        self.slot = Slot()
        self.coverage = Counter(
            self.slot,
            "timbre_monitor_coverage_seconds_total",
            ("source", "state"),
            "Seconds of the minutes that are over, by what became of them.",
        )
        self.events = Counter(
            self.slot,
            "timbre_monitor_events_total",
            ("source", "label"),
            "Events that began.",
        )
        self.problem = Gauge(
            self.slot,
            "timbre_monitor_problem",
            ("source", "problem"),
            "1 while a source is dead for this reason, else 0.",
        )
        self.waiting = Gauge(
            self.slot,
            "timbre_monitor_sink_waiting",
            ("sink",),
            "Records that wait for a sink.",
        )
        self.lost = Gauge(
            self.slot,
            "timbre_monitor_sink_lost",
            ("sink",),
            "Records since the start that a sink did not take while there was room for them.",
        )
        found = (self.coverage, self.events, self.problem, self.waiting, self.lost)
        self.families: dict[str, Family] = {each.name: each for each in found}
        for source in sources:
            for state in STATES:
                self.coverage.expect(source, state)
            for problem in PROBLEMS:
                self.problem.expect(source, problem)

    def record(self, record: Record) -> None:
        """Count what a sink is told."""
        match record:
            case EventRecord(state="onset"):
                self.events.add(record.source, record.label)
            case MinuteRecord():
                spent = {state: getattr(record, f"{state}_ms", 0) for state in STATES}
                spent["dropped"] = sum(record.dropped_ms.values())
                for state, milliseconds in spent.items():
                    self.coverage.add(record.source, state, by=milliseconds / 1e3)
            case ProblemRecord():
                for problem in PROBLEMS:
                    self.problem.set(float(problem == record.problem), record.source, problem)

    def sink(self, queue: SinkQueue) -> None:
        """Tell what waits for a sink, and what it has lost."""
        self.waiting.set(float(queue.waiting), queue.name)
        self.lost.set(float(queue.lost), queue.name)


@asynccontextmanager
async def served(metrics: MonitorMetrics, host: str, port: int) -> AsyncIterator[None]:
    """Answer `GET /metrics` while the block runs, without a key and without TLS; 0: nowhere.

    Raises TimbreError when the port cannot be listened on.
    """
    if not port:
        yield
        return
    # Imported here so that a monitor without it never loads an HTTP server.
    from service.api.metrics import Scraper
    from service.server.metrics_endpoint import metrics_endpoint

    settings = Settings(metrics_host=host, metrics_port=port)
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(metrics_endpoint(settings, Scraper(metrics)))
        except OSError as error:
            raise TimbreError(f"cannot listen on {host}:{port}: {error.strerror}") from error
        yield
