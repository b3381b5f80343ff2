"""The queue in the process: no server needed, micro-batches across streams and requests."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from common.errors import Busy, Leaving
from features.config import Tensor
from service.queue.base import (
    OVERTAKEN,
    REPLACED,
    SHUTTING_DOWN,
    Job,
    JobResult,
    no_result,
    queue_full,
    submitted_late,
)
from service.queue.fair import STALE, FairQueue
from service.tracing.spans import model_attributes, record_batch

CONGESTED_S = 0.1
"""Seconds of work that live jobs of one model may be, before no more of them are made."""
SMOOTHING = 0.1
"""Weight of the last batch in the time of a job."""
IDLE_S = 5.0
"""A model without jobs for so long ends its thread, which frees ONNX Runtime's memory of it."""


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
    """Runs each model in a thread of its own, on the jobs that are pending when it is free."""

    def __init__(
        self,
        find: Callable[[str, str], Predictor],
        *,
        max_batch: int,
        max_jobs: int,
        max_job_bytes: int = 2**28,
        ran: Callable[[str, int], None] = lambda *_: None,
    ) -> None:
        """max_jobs, max_job_bytes: pending live jobs of one version of a model, and again clips.

        ran: gets the model and the number of jobs of each call, in the event loop.

        find: called in a model's thread for each batch, so that the queue keeps no model alive.
        """
        self._find = find
        self._max_batch = max_batch
        self._bounds = {"limit": max_jobs, "max_size": max_job_bytes}
        self._models: dict[tuple[str, str], _ModelQueue] = {}
        self._ran = ran
        self._closing = False

    @property
    def depth(self) -> int:
        """Jobs that have not started."""
        return sum(len(model.pending) for model in self._models.values())

    @property
    def unavailable(self) -> str:
        """Always empty: this queue fails only with its process."""
        return ""

    @property
    def overdue_s(self) -> float:
        """How long a model runs past the deadlines of its jobs; it may never return."""
        return max((queue.overdue_s for queue in self._models.values()), default=0.0)

    def congested(self, model: str) -> bool:
        """Return whether the live jobs of a model would take longer than CONGESTED_S."""
        return any(queue.congested for (name, _), queue in self._models.items() if name == model)

    def clip_wait_s(self, model: str) -> float:
        """Return how long a clip would wait, by the time of a job and the wait of other clips."""
        queues = [queue for (name, _), queue in self._models.items() if name == model]
        return max((queue.clip_wait_s for queue in queues), default=0.0)

    async def open(self) -> None:
        """Nothing to do: a thread starts with the first job of its model."""

    async def prepare(self, model: str, version: str) -> None:
        """Nothing to do: the caller has loaded the model, and this queue runs the same one."""

    async def submit(self, job: Job) -> JobResult:
        """Return the result. Cancelling withdraws the job.

        Raises Busy when full, Late past the deadline, Leaving after `close`.
        """
        if self._closing:
            raise Leaving(SHUTTING_DOWN)
        key = (job.model, job.version)
        if key not in self._models:
            self._models[key] = _ModelQueue(
                partial(self._find, *key),
                FairQueue(**self._bounds),
                max_batch=self._max_batch,
                ran=partial(self._ran, job.model),
            )
        return await self._models[key].submit(job)

    async def close(self) -> None:
        """Finish accepted jobs, then stop."""
        self._closing = True
        await asyncio.gather(*(model.close() for model in self._models.values()))


class _ModelQueue:
    """One model, its thread and its pending jobs.

    The thread pops its batches itself: if the event loop passed them on, a busy loop would let the
    model run once per iteration.
    """

    def __init__(
        self,
        find: Callable[[], Predictor],
        pending: FairQueue[_PendingJob],
        *,
        max_batch: int,
        ran: Callable[[int], None],
    ) -> None:
        self.pending = pending
        self._find = find
        self._max_batch = max_batch
        self._ran = ran
        self._changed = threading.Condition()
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._running = False
        self._job_s = 0.0
        self._runs_until = math.inf
        """The last deadline of the jobs that the model runs now."""
        self._notifying = False

    @property
    def overdue_s(self) -> float:
        return max(0.0, time.monotonic() - self._runs_until)

    @property
    def congested(self) -> bool:
        return self.pending.live * self._job_s > CONGESTED_S

    @property
    def clip_wait_s(self) -> float:
        now = time.monotonic()
        with self._changed:
            oldest = self.pending.oldest_clip
            waited_s = now - oldest.since if oldest else 0.0
            return max(len(self.pending) * self._job_s, waited_s / STALE)

    async def submit(self, job: Job) -> JobResult:
        now = time.monotonic()
        if (left_s := job.deadline - now) <= 0:
            raise submitted_late()
        entry = _PendingJob(job, now, self._loop.create_future())
        with self._changed:
            self._start_thread()
            self._admit(entry)
        if not self._notifying:
            # Once for all jobs of this iteration of the loop: they make one batch, and the thread
            # is woken up less often.
            self._notifying = True
            self._loop.call_soon(self._notify)
        # In half the time of asyncio.timeout.
        timer = self._loop.call_later(left_s, _expire, entry)
        try:
            return await entry.future
        except BaseException:
            with self._changed:
                self.pending.discard(job.stream, job.id, live=job.live)
            raise
        finally:
            timer.cancel()

    def _notify(self) -> None:
        self._notifying = False
        with self._changed:
            self._changed.notify()

    async def close(self) -> None:
        """Finish pending jobs; each job's own deadline bounds how long that takes."""
        with self._changed:
            self._closing = True
            self._changed.notify()
            if not self._running:
                self._ended.set()
        await self._ended.wait()

    def _start_thread(self) -> None:
        """Start a thread unless one runs. Raises Busy when none can be started."""
        if not self._running:
            try:
                threading.Thread(target=self._run, name="model", daemon=True).start()
            except RuntimeError as error:
                raise Busy("cannot start a thread for the model") from error
            self._running = True

    def _admit(self, entry: _PendingJob) -> None:
        """Add a job; in a full queue it replaces its stream's oldest. Raises Busy without one."""
        job, size = entry.job, entry.job.tensor.nbytes
        if self.pending.full(live=job.live, size=size):
            replaced = self.pending.pop_oldest(job.stream) if job.live else None
            if replaced is None or self.pending.full(live=job.live, size=size):
                raise queue_full(len(self.pending), model=job.model)
            _fail([replaced], Busy(REPLACED))
        stale = entry.since + STALE * (job.deadline - entry.since)
        self.pending.add(job.stream, job.id, entry, live=job.live, size=size, stale=stale)

    def _run(self) -> None:
        """Run batches until idle for a while, or closed and empty. In the thread."""
        while (popped := self._pop_batch()) is not None:
            begin = time.monotonic()
            # Late jobs get their error from the timeout in `submit`.
            batch = [entry for entry in popped if entry.job.deadline > begin]
            outcome = self._predict(batch)
            end = time.monotonic()
            if batch:
                self._job_s += SMOOTHING * ((end - begin) / len(batch) - self._job_s)
            self._post(self._deliver, batch, outcome, begin, end)

    def _pop_batch(self) -> list[_PendingJob] | None:
        with self._changed:
            while not len(self.pending):
                if self._closing or not (self._changed.wait(IDLE_S) or len(self.pending)):
                    self._running = False
                    if self._closing:
                        self._post(self._ended.set)
                    return None
            batch, overtaken = self.pending.pop(self._max_batch, now=time.monotonic())
        if overtaken:
            self._post(_fail, overtaken, Busy(OVERTAKEN))
        return batch

    def _predict(self, batch: list[_PendingJob]) -> Any:
        """Return the scores, or what the model raised, which is a result as well."""
        if not batch:
            return ()
        try:
            tensors: Any = np.stack([entry.job.tensor for entry in batch])
            model = self._find()
            self._runs_until = max(entry.job.deadline for entry in batch)
            return model.predict(tensors)
        except Exception as error:  # noqa: BLE001 - its jobs get it
            return error
        finally:
            self._runs_until = math.inf

    def _post(self, call: Callable[..., object], *arguments: object) -> None:
        # When the loop is closed, no caller waits any more.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *arguments)

    def _deliver(self, batch: list[_PendingJob], outcome: Any, begin: float, end: float) -> None:
        if batch:
            self._ran(len(batch))
        _trace(batch, outcome, begin, end)
        if isinstance(outcome, Exception):
            _fail(batch, outcome)
            return
        for entry, row in zip(batch, outcome, strict=True):
            # The future is cancelled when the client disconnected while the model ran.
            if not entry.future.done():
                queue_ms, model_ms = 1e3 * (begin - entry.since), 1e3 * (end - begin)
                entry.future.set_result(
                    JobResult(job_id=entry.job.id, scores=row, queue_ms=queue_ms, model_ms=model_ms)
                )


def _trace(batch: list[_PendingJob], outcome: Any, begin: float, end: float) -> None:
    """Record the model call for the jobs that are traced."""
    spans = [span for entry in batch if (span := entry.job.trace) is not None]
    if spans:
        job, error = batch[0].job, type(outcome).__name__ if isinstance(outcome, Exception) else ""
        span = spans[0].trace.tracer.begin(f"batch {job.model}", begin=begin, sampled=False)
        span.attributes = {
            **model_attributes(job.model, job.version),
            "timbre.batch.size": len(batch),
        }
        jobs = [(each, error) for each in spans]
        record_batch(span, jobs, job.model, begin=begin, end=end)


def _expire(entry: _PendingJob) -> None:
    if not entry.future.done():
        entry.future.set_exception(no_result(entry.job))


def _fail(batch: list[_PendingJob], error: Exception) -> None:
    for entry in batch:
        if not entry.future.done():
            entry.future.set_exception(error)
