"""Service times of a server with Redis: in processor time, by process, under a small load."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import server_process
from benchmarks.scale.simulation import Samples, Times
from benchmarks.serving import load, streams
from benchmarks.signals import plucked
from common.errors import TimbreError
from features.config import DEFAULT
from features.extract import FEATURE_NAMES
from features.streaming import StreamingExtractor
from models.store import Store

MODEL = "instruments-forest"
TRIES = 3
SIZES = (1, 2, 4, 8, 16, 32)


class Load(NamedTuple):
    """What a load cost: processor time of a window by process, and how old its answer was."""

    streams: int
    windows: int
    seconds: float
    gateway_ms: float
    shard_ms: float
    worker_ms: float
    p50_ms: float | None
    dropped: int

    @property
    def rate(self) -> float:
        """Windows answered a second."""
        return self.windows / self.seconds

    @property
    def core_ms(self) -> float:
        """Of all three, for a window."""
        return self.gateway_ms + self.shard_ms + self.worker_ms


def loaded(count: int, *, seconds: float) -> Load:
    """Return what so many live streams at a 1-s hop cost one gateway, a Redis and a worker."""
    work = streams.Load(streams=count, seconds=seconds, hop=1.0, model=MODEL, ramp=1.0)
    with server_process.served(["--set", f"models={MODEL}"], through_redis=True) as (url, pid):
        processes = by_name()
        before = {name: server_process.cost(each)[0] for name, each in processes.items()}
        report = load.run(url, pid, clip_load=None, stream_load=work)
        spent = {
            name: server_process.cost(each)[0] - before[name] for name, each in processes.items()
        }
    found = report["streams"]
    windows = max(1, found["answered"])
    ms = {name: 1e3 * value / windows for name, value in spent.items()}
    return Load(
        streams=count,
        windows=windows,
        seconds=report["seconds"],
        gateway_ms=ms["gateway"],
        shard_ms=ms["redis-server"],
        worker_ms=ms["worker"],
        p50_ms=found["ms"]["p50"],
        dropped=sum(found["dropped"].values()),
    )


def unhurried(count: int, *, seconds: float) -> Load:
    """Return a load of which no window was dropped. Raises TimbreError after some tries.

    Who drops windows has no cost of a window that could be told.
    """
    for _ in range(TRIES):
        found = loaded(count, seconds=seconds)
        if not found.dropped:
            return found
    raise TimbreError(
        f"{found.dropped} windows of {count} live streams were dropped, {TRIES} times: the machine "
        "is too busy to measure what a window costs"
    )


def by_name() -> dict[str, int]:
    """Return the processes below this one: `gateway`, `worker`, `redis-server`."""
    found = {}
    for pid in server_process.children(os.getpid()):
        line = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").replace("\0", " ")
        for name in ("gateway", "worker", "redis-server"):
            if line.startswith((f"timbre: {name}", name)):
                found[name] = pid
    return found


def times_of(few: Load, many: Load, *, calls: int) -> Times:
    """Return distributions: the part of the cost that grows with the windows, and what is fixed.

    Processor time a second is a line through two loads. The spread of a gateway's is that of the
    features of a window, of a worker's that of the model: both are scaled to what the processes
    took.
    """
    each, fixed = costs(few, many)
    features = _features(calls)
    predict = Store().load(MODEL).predict
    model = {size: _model(predict, size, calls) for size in SIZES}
    # At a small load batches have one row or two.
    rest = max(0.0, each["worker"] - float(model[1].mean()))
    return Times(
        gateway=features * (each["gateway"] / features.mean()),
        shard=np.full(1, each["shard"] / 2),
        model=model,
        worker=np.full(1, rest),
        fixed=fixed,
    )


def costs(few: Load, many: Load) -> tuple[dict[str, float], dict[str, float]]:
    """Return by process the seconds of a core of a window, and the share of one without any."""
    each, fixed = {}, {}
    for name in ("gateway", "shard", "worker"):
        low, high = (_busy(found, name) for found in (few, many))
        slope = (high - low) / (many.rate - few.rate) if many.rate > few.rate else 0.0
        each[name] = slope if slope > 0 else high / many.rate
        fixed[name] = max(0.0, low - each[name] * few.rate)
    return each, fixed


def _busy(found: Load, name: str) -> float:
    """Return the share of a core that a process took."""
    ms: float = getattr(found, f"{name}_ms")
    return ms / 1e3 * found.rate


def _features(calls: int) -> Samples:
    """Return seconds of processor time of the features of a hop."""
    hop = DEFAULT.live_hop(1.0)
    sound = plucked(4)
    extractor = StreamingExtractor(hop=hop)
    extractor.feed(sound[: DEFAULT.window - hop])
    pieces = cycle([sound[at : at + hop] for at in range(0, sound.size - hop, hop)])
    return _timed(lambda: extractor.feed(next(pieces)), calls)


def _model(predict: Callable[[Any], Any], size: int, calls: int) -> Samples:
    batch = np.zeros((size, len(FEATURE_NAMES)), np.float32)
    return _timed(lambda: predict(batch), calls)


def _timed(call: Any, calls: int) -> Samples:
    call()
    found = []
    for _ in range(calls):
        begin = time.process_time()
        call()
        found.append(time.process_time() - begin)
    return np.array(found)
