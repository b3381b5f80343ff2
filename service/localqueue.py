"""The queue inside the process: no server needed, micro-batches across streams and requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from features.config import Tensor
from features.errors import Busy, Late, Leaving
from service.backlog import Backlog
from service.jobs import Answer, Job


class Predictor(Protocol):
    """The one thing the queue needs of a model."""

    def predict(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """Return scores (n, labels) of tensors (n, ...). Called in a thread."""


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    job: Job
    since: float
    future: asyncio.Future[Answer]


class LocalQueue:
    """Runs each model in a thread of its own, on whatever waits at the moment it is free."""

    def __init__(self, find: Callable[[str, str], Predictor], *, max_batch: int, max_jobs: int) -> None:
        self._find = find
        self._max_batch = max_batch
        self._max_jobs = max_jobs
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._leaving = False

    @property
    def depth(self) -> int:
        """Jobs that wait and have not begun."""
        return sum(len(lane.backlog) for lane in self._lanes.values())

    @property
    def trouble(self) -> str:
        """Nothing that does not end the process."""
        return ""

    async def open(self) -> None:
        """Nothing to prepare: lanes begin with the first job of their model."""

    async def ask(self, job: Job) -> Answer:
        """Return the answer. Cancelling withdraws the job. Raises Busy when full, Late past the deadline, Leaving."""
        if self._leaving:
            raise Leaving("the queue takes no new jobs")
        key = (job.model, job.version)
        if key not in self._lanes:
            self._lanes[key] = _Lane(self._find(*key), max_batch=self._max_batch, max_jobs=self._max_jobs)
        return await self._lanes[key].ask(job)

    async def close(self) -> None:
        """Answer what was accepted, then stop."""
        self._leaving = True
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))


class _Lane:
    """One model, its thread and the jobs that wait for it."""

    def __init__(self, model: Predictor, *, max_batch: int, max_jobs: int) -> None:
        self.backlog: Backlog[_Asked] = Backlog(limit=max_jobs)
        self._model = model
        self._max_batch = max_batch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._work = asyncio.Event()
        self._closing = False
        self._runner = asyncio.create_task(self._run())

    async def ask(self, job: Job) -> Answer:
        if self.backlog.full(live=job.live):
            raise Busy(f"{len(self.backlog)} jobs wait for {job.model!r}")
        now = time.monotonic()
        if job.deadline <= now:
            raise Late("the deadline passed before the job was asked")
        asked = _Asked(job, now, asyncio.get_running_loop().create_future())
        self.backlog.add(job.stream, job.id, asked, live=job.live)
        self._work.set()
        try:
            async with asyncio.timeout(job.deadline - now):
                return await asked.future
        except TimeoutError:
            raise Late(f"no answer from {job.model!r} within the deadline") from None
        finally:
            self.backlog.discard(job.stream, job.id, live=job.live)

    async def close(self) -> None:
        """Answer what waits; each job's own deadline bounds how long that takes."""
        self._closing = True
        self._work.set()
        await self._runner
        self._thread.shutdown(wait=False)

    async def _run(self) -> None:
        while not self._closing:
            await self._work.wait()
            self._work.clear()
            while len(self.backlog):
                await self._answer(self.backlog.take(self._max_batch))

    async def _answer(self, taken: list[_Asked]) -> None:
        begin = time.monotonic()
        # The late ones are told so by the timeout in `ask`.
        batch = [asked for asked in taken if asked.job.deadline > begin]
        try:
            scores = await asyncio.get_running_loop().run_in_executor(self._thread, self._predict, batch)
        except Exception as error:  # noqa: BLE001 - whatever a model raises is the answer to its jobs
            _fail(batch, error)
            return
        model_ms = 1e3 * (time.monotonic() - begin)
        for asked, row in zip(batch, scores, strict=True):
            # A client that left while the model ran has cancelled its future.
            if not asked.future.done():
                queue_ms = 1e3 * (begin - asked.since)
                answer = Answer(job_id=asked.job.id, scores=row, queue_ms=queue_ms, model_ms=model_ms)
                asked.future.set_result(answer)

    def _predict(self, batch: list[_Asked]) -> npt.NDArray[np.float32]:
        if not batch:
            return np.empty((0, 0), np.float32)
        tensors: Any = np.stack([asked.job.tensor for asked in batch])
        return self._model.predict(tensors)


def _fail(batch: list[_Asked], error: Exception) -> None:
    for asked in batch:
        if not asked.future.done():
            asked.future.set_exception(error)
