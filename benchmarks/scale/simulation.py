"""A discrete-event simulation of live streams through gateways, a Redis shard and workers: pure.

Each window arrives at the gateway of its stream when its last sample does, waits there for its
turn, goes through the shard to the workers, which take what waits as one batch, and back. Service
times are drawn from measured ones. What is answered later than `patience` counts as dropped.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Times:
    """Measured service times, in seconds of a core."""

    gateway: Samples
    """Of a window in a gateway, from its bytes to its answer."""
    shard: Samples
    """Of a job in Redis, and as much for its reply."""
    model: dict[int, Samples]
    """Of a batch in a worker, by its size."""
    worker: Samples
    """Of a job in a worker besides the model."""
    fixed: dict[str, float] = field(default_factory=dict)
    """Share of a core that each `gateway`, `shard` and `worker` takes without any job."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """What happens at a time: `worker` or `gateway` is lost, `shard` stops, `upgrade` of all."""

    at: float
    kind: str
    seconds: float = 0.0
    """Until jobs are claimed again, streams are back, the shard is; of each gateway."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one shard of Redis carries."""

    streams: int
    gateways: int
    workers: int
    seconds: float = 10.0
    hop: float = 1.0
    batch: int = 32
    patience: float = 2.0
    failures: Sequence[Failure] = ()


@dataclass
class Outcome:
    """What became of the windows."""

    ages: list[float] = field(default_factory=list)
    """Seconds from arrival to answer, of those answered in time."""
    dropped: int = 0
    busy: dict[str, float] = field(default_factory=dict)
    """Seconds of a core by `gateway`, `shard`, `worker`."""
    batches: int = 0


class _Draw:
    """Draws from measured times, in blocks: one call of numpy for many."""

    def __init__(self, samples: Samples, rng: np.random.Generator) -> None:
        self._samples, self._rng = samples, rng
        self._left: Iterator[float] = iter(())

    def __call__(self) -> float:
        for value in self._left:
            return value
        self._left = iter(self._rng.choice(self._samples, 4_096).tolist())
        return next(self._left)


class _Station:
    """One core that serves in the order of arrival."""

    def __init__(self) -> None:
        self.free_at = self.busy = 0.0
        self.gone = False

    def serve(self, now: float, seconds: float) -> float:
        """Return when what arrives now is done."""
        self.free_at = max(now, self.free_at) + seconds
        self.busy += seconds
        return self.free_at


class Simulation:
    """Runs a cell; seeded."""

    def __init__(self, cell: Cell, times: Times, *, seed: int = 0) -> None:
        self._cell, rng = cell, np.random.default_rng(seed)
        self._rng, self._fixed = rng, times.fixed
        self._gateways = [_Station() for _ in range(cell.gateways)]
        self._shard, self._workers = _Station(), [_Station() for _ in range(cell.workers)]
        self._idle = list(range(cell.workers))
        self._of_stream = np.arange(cell.streams) % cell.gateways
        self._back_at = np.zeros(cell.streams)
        self._gone: set[int] = set()
        self._waiting: deque[tuple[float, int]] = deque()
        self._running: dict[int, list[tuple[float, int]]] = {}
        self._draw = {
            name: _Draw(getattr(times, name), rng) for name in ("gateway", "shard", "worker")
        }
        self._sizes = sorted(times.model)
        self._model = {size: _Draw(samples, rng) for size, samples in times.model.items()}
        self._events: list[tuple[float, int, str, Any]] = []
        self._number = count()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Return what became of all windows of `seconds`."""
        cell = self._cell
        phases = self._rng.uniform(0, cell.hop, cell.streams)
        for stream, phase in enumerate(phases.tolist()):
            self._at(phase, "arrives", (phase, stream))
        for failure in cell.failures:
            self._at(failure.at, "fails", failure)
        while self._events:
            now, _, kind, what = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(now, what)
        stations = {"gateway": self._gateways, "shard": [self._shard], "worker": self._workers}
        self.outcome.busy = {
            name: sum(one.busy for one in some)
            + len(some) * cell.seconds * self._fixed.get(name, 0.0)
            for name, some in stations.items()
        }
        return self.outcome

    def _at(self, when: float, kind: str, what: Any) -> None:
        heapq.heappush(self._events, (when, next(self._number), kind, what))

    def _arrives(self, now: float, window: tuple[float, int]) -> None:
        """A window is due; so is the next of its stream a hop later."""
        due, stream = window
        if due + self._cell.hop < self._cell.seconds:
            self._at(due + self._cell.hop, "arrives", (due + self._cell.hop, stream))
        # Of a stream that is not connected, the client sends it when it is.
        if self._back_at[stream] > now:
            self._at(float(self._back_at[stream]), "served", window)
        else:
            self._served(now, window)

    def _served(self, now: float, window: tuple[float, int]) -> None:
        gateway = self._gateways[self._of_stream[window[1]]]
        seconds = self._draw["gateway"]()
        # Most of the work is features, before the job; the answer takes the rest.
        self._at(gateway.serve(now, 0.8 * seconds), "sent", window)

    def _sent(self, now: float, window: tuple[float, int]) -> None:
        self._at(self._shard.serve(now, self._draw["shard"]()), "queued", window)

    def _queued(self, now: float, window: tuple[float, int]) -> None:
        self._waiting.append(window)
        if self._idle:
            self._take(now, self._idle.pop())

    def _take(self, now: float, worker: int) -> None:
        """A worker takes what waits; it is idle if nothing does."""
        taken: list[tuple[float, int]] = []
        while self._waiting and len(taken) < self._cell.batch:
            window = self._waiting.popleft()
            if now - window[0] > self._cell.patience:
                self.outcome.dropped += 1
            else:
                taken.append(window)
        if not taken:
            self._idle.append(worker)
            return
        size = next((size for size in self._sizes if size >= len(taken)), self._sizes[-1])
        seconds = self._model[size]() * len(taken) / size
        seconds += sum(self._draw["worker"]() for _ in taken)
        self._running[worker] = taken
        self.outcome.batches += 1
        self._at(self._workers[worker].serve(now, seconds), "done", (worker, taken))

    def _done(self, now: float, what: tuple[int, list[tuple[float, int]]]) -> None:
        worker, taken = what
        if self._running.get(worker) is not taken:  # it was lost meanwhile
            return
        del self._running[worker]
        for window in taken:
            self._at(self._shard.serve(now, self._draw["shard"]()), "replied", window)
        self._take(now, worker)

    def _replied(self, now: float, window: tuple[float, int]) -> None:
        gateway = self._gateways[self._of_stream[window[1]]]
        self._at(gateway.serve(now, 0.2 * self._draw["gateway"]()), "answered", window)

    def _answered(self, now: float, window: tuple[float, int]) -> None:
        age = now - window[0]
        if age > self._cell.patience:
            self.outcome.dropped += 1
        else:
            self.outcome.ages.append(age)

    def _fails(self, now: float, failure: Failure) -> None:
        if failure.kind == "shard":
            self._shard.free_at = max(self._shard.free_at, now + failure.seconds)
        elif failure.kind == "worker":
            lost = next(iter(self._running), self._idle[-1] if self._idle else 0)
            if lost in self._idle:
                self._idle.remove(lost)
            for window in self._running.pop(lost, []):
                self._at(now + failure.seconds, "queued", window)
        elif failure.kind == "gateway":
            self._leave(now, 0, failure.seconds)
        else:
            self._upgrade(now, failure.seconds)

    def _leave(self, now: float, gone: int, seconds: float) -> None:
        """The streams of a gateway are away for so long, and then at the others."""
        self._gone.add(gone)
        others = [number for number in range(len(self._gateways)) if number not in self._gone]
        streams = np.flatnonzero(self._of_stream == gone)
        self._of_stream[streams] = np.resize(others, len(streams))
        self._back_at[streams] = now + seconds
        self._gateways[gone].free_at = now

    def _upgrade(self, now: float, seconds: float) -> None:
        """Gateways leave one after the other, and are back when the next one leaves."""
        for number in range(len(self._gateways)):
            self._at(now + number * seconds, "leaves", (number, seconds))

    def _leaves(self, now: float, what: tuple[int, float]) -> None:
        number, seconds = what
        self._gone.clear()
        self._leave(now, number, seconds)
