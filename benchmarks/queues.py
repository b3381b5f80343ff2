"""The round trip of a job through both queues: in the process, and through Redis to a worker.

The model is an echo, so that what is measured is the way. A private redis-server on a Unix socket,
a worker process.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import measure
from benchmarks.server_process import redis
from features.config import Tensor
from service.queue.base import Job, JobQueue
from service.queue.local import LocalQueue

TITLE = "A job of 26 numbers to a model and back"
ALONE, CROWD = "one at a time", "100 at a time, each"
BUDGETS = {("redis", ALONE): 0.5}
"""Milliseconds at most."""
MAX_BATCH, MAX_JOBS = 32, 4_096
FULL = {"rounds": 40, "calls": 25}
TINY = {**FULL, "rounds": 2}
numbers = count()


class Echo:
    """A model that costs nothing."""

    def predict(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """Return the first 11 numbers of each."""
        return batch[:, :11].astype(np.float32, copy=False)


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return the rows of `measure.rows`, each with `what`. Raises TimbreError."""
    import uvloop

    with redis() as url, _worker(url):
        return uvloop.run(_run(url, **(TINY if tiny else FULL)))


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    return [
        f"{row['name']}, {row['what']}: {row['median_ms']:.3f} ms, budget {limit} ms"
        for row in table
        if (limit := BUDGETS.get((row["name"], row["what"]))) and row["median_ms"] > limit
    ]


async def _run(url: str, *, rounds: int, calls: int) -> list[dict[str, Any]]:
    from service.queue.redis import RedisQueue

    queues: dict[str, JobQueue] = {
        "local": LocalQueue(lambda *_: Echo(), max_batch=MAX_BATCH, max_jobs=MAX_JOBS),
        "redis": RedisQueue(url, max_jobs=MAX_JOBS),
    }
    for queue in queues.values():
        await queue.open()
    table = []
    for what, askers in ((ALONE, 1), (CROWD, 100)):
        times: dict[str, list[float]] = {name: [] for name in queues}
        for _ in range(rounds):
            for name, queue in queues.items():
                times[name] += await _block(queue, askers=askers, calls=calls)
        table += measure.rows(times, ours="local", block=calls, what=what)
    for queue in queues.values():
        await queue.close()
    return table


async def _block(queue: JobQueue, *, askers: int, calls: int) -> list[float]:
    """Return milliseconds per call; of concurrent callers, their total over their number."""
    times = []
    for call in range(calls + 1):
        begin = time.perf_counter()
        await asyncio.gather(*(queue.submit(_job()) for _ in range(askers)))
        if call:  # the first pays for the caches that the other queue filled
            times.append(1e3 * (time.perf_counter() - begin) / askers)
    return times


def _job() -> Job:
    number = next(numbers)
    return Job(
        id=str(number),
        model="echo",
        version="1",
        tensor=np.zeros(26, np.float32),
        deadline=time.monotonic() + 10,
        live=True,
        stream=str(number),
    )


@contextmanager
def _worker(url: str) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(url,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _work(url: str) -> None:
    import uvloop

    from service.queue.redis_consumer import RedisConsumer
    from service.server.worker import Worker

    uvloop.run(
        Worker(
            RedisConsumer(url, name="bench"),
            lambda *_: Echo(),
            max_batch=MAX_BATCH,
            heartbeat=lambda: None,
        ).run()
    )
