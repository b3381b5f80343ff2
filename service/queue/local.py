"""The queue inside the process: no server needed, micro-batches across streams and requests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from common.errors import Busy, Late, Leaving
from features.config import Tensor
from service.queue.base import Job, JobResult
from service.queue.fair import STALE, FairQueue

IDLE_S = 5.0
"""A model that was not asked for so long gives its thread back, and the memory that ONNX Runtime
keeps for that."""


class Predictor(Protocol):
    """The one thing the queue needs of a model."""

    def predict(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """Return scores (n, labels) of tensors (n, ...). Called in a thread."""


@dataclass(frozen=True, slots=True, eq=False)
class _PendingJob:
    job: Job
    since: float
    future: asyncio.Future[JobResult]


class LocalQueue:
    """Runs each model in a thread of its own, on whatever waits at the moment it is free."""

    def __init__(
        self,
        find: Callable[[str, str], Predictor],
        *,
        max_batch: int,
        max_jobs: int,
        max_job_bytes: int = 2**28,
    ) -> None:
        """max_jobs, max_job_bytes: of live streams that wait for one model, and again of clips.

        find: called in a model's thread for each batch, so that the queue keeps no model alive.
        """
        self._find = find
        self._max_batch = max_batch
        self._bounds = {"limit": max_jobs, "max_size": max_job_bytes}
        self._lanes: dict[tuple[str, str], _ModelQueue] = {}
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

    async def prepare(self, model: str, version: str) -> None:
        """Nothing to prepare: who asks has the model, and it is the same one."""

    async def submit(self, job: Job) -> JobResult:
        """Return the answer. Cancelling withdraws the job. Raises Busy when full, Late past the deadline, Leaving."""
        if self._leaving:
            raise Leaving("the queue takes no new jobs")
        key = (job.model, job.version)
        if key not in self._lanes:
            self._lanes[key] = _ModelQueue(
                partial(self._find, *key), FairQueue(**self._bounds), max_batch=self._max_batch
            )
        return await self._lanes[key].submit(job)

    async def close(self) -> None:
        """Answer what was accepted, then stop."""
        self._leaving = True
        await asyncio.gather(*(lane.close() for lane in self._lanes.values()))


class _ModelQueue:
    """One model, its thread and the jobs that wait for it.

    The thread helps itself: were it handed its work, a busy event loop would let it run once a
    turn.
    """

    def __init__(
        self, find: Callable[[], Predictor], backlog: FairQueue[_PendingJob], *, max_batch: int
    ) -> None:
        self.backlog = backlog
        self._find = find
        self._max_batch = max_batch
        self._change = threading.Condition()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._running = False

    async def submit(self, job: Job) -> JobResult:
        now = time.monotonic()
        if job.deadline <= now:
            raise Late("the deadline passed before the job was asked")
        asked = _PendingJob(job, now, self._loop.create_future())
        with self._change:
            self._begin()
            self._admit(asked)
            self._change.notify()
        try:
            async with asyncio.timeout(job.deadline - now):
                return await asked.future
        except TimeoutError:
            raise Late(f"no answer from {job.model!r} within the deadline") from None
        finally:
            with self._change:
                self.backlog.discard(job.stream, job.id, live=job.live)

    async def close(self) -> None:
        """Answer what waits; each job's own deadline bounds how long that takes."""
        with self._change:
            self._closing = True
            self._change.notify()
            if not self._running:
                self._ended.set()
        await self._ended.wait()

    def _begin(self) -> None:
        """Have a thread; the one before may have gone for want of work. Raises Busy when the machine has none left."""
        if not self._running:
            try:
                threading.Thread(target=self._run, name="model", daemon=True).start()
            except RuntimeError as error:
                raise Busy("no thread can be had for the model") from error
            self._running = True

    def _admit(self, asked: _PendingJob) -> None:
        """Put a job in its place, if need be in that of its stream's oldest. Raises Busy when there is none."""
        job, size = asked.job, asked.job.tensor.nbytes
        if self.backlog.full(live=job.live, size=size):
            pushed = self.backlog.push_out(job.stream) if job.live else None
            if pushed is None or self.backlog.full(live=job.live, size=size):
                raise Busy(f"{len(self.backlog)} jobs wait for {job.model!r}")
            _fail([pushed], Busy("pushed out by a newer window"))
        stale = asked.since + STALE * (job.deadline - asked.since)
        self.backlog.add(job.stream, job.id, asked, live=job.live, size=size, stale=stale)

    def _run(self) -> None:
        """Work until there is nothing to do for a while, or closed and empty. In the thread."""
        while (found := self._take()) is not None:
            begin = time.monotonic()
            # The late ones are told so by the timeout in `ask`.
            batch = [asked for asked in found[0] if asked.job.deadline > begin]
            outcome = self._predict(batch)
            self._post(self._told, batch, outcome, begin, time.monotonic())

    def _take(self) -> tuple[list[_PendingJob], list[_PendingJob]] | None:
        with self._change:
            while not len(self.backlog):
                if self._closing or not (self._change.wait(IDLE_S) or len(self.backlog)):
                    self._running = False
                    if self._closing:
                        self._post(self._ended.set)
                    return None
            found = self.backlog.take(self._max_batch, now=time.monotonic())
        if found[1]:
            self._post(_fail, found[1], Busy("overtaken by a newer window"))
        return found

    def _predict(self, batch: list[_PendingJob]) -> Any:
        """Return the scores, or what the model raised: that is the answer as well."""
        if not batch:
            return ()
        try:
            tensors: Any = np.stack([asked.job.tensor for asked in batch])
            return self._find().predict(tensors)
        except Exception as error:  # noqa: BLE001 - whatever it is
            return error

    def _post(self, call: Callable[..., object], *arguments: object) -> None:
        # A loop that is closed has nobody left who waits.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    @staticmethod
    def _told(batch: list[_PendingJob], outcome: Any, begin: float, end: float) -> None:
        if isinstance(outcome, Exception):
            _fail(batch, outcome)
            return
        for asked, row in zip(batch, outcome, strict=True):
            # A client that left while the model ran has cancelled its future.
            if not asked.future.done():
                queue_ms, model_ms = 1e3 * (begin - asked.since), 1e3 * (end - begin)
                asked.future.set_result(
                    JobResult(job_id=asked.job.id, scores=row, queue_ms=queue_ms, model_ms=model_ms)
                )


def _fail(batch: list[_PendingJob], error: Exception) -> None:
    for asked in batch:
        if not asked.future.done():
            asked.future.set_exception(error)
