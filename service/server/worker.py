"""A worker process: claims jobs, runs models on them, replies; loads the requested versions."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import socket
import time
from collections import defaultdict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np

from common.errors import TimbreError
from service.inference.artefact_store import open_store
from service.inference.model_metrics import show_models
from service.lifecycle import on_stop_signal
from service.lifecycle import run as run_process
from service.log import log, trace
from service.metrics.metrics import Metrics
from service.queue.base import HEARTBEAT_S, ClaimedJob, JobConsumer, Reply
from service.queue.local import Predictor
from service.server.heartbeat import Heartbeat
from service.server.systemd import Systemd
from service.server.worker_models import WorkerModels
from service.server.worker_traces import record
from service.settings import Settings
from service.tracing.spans import Tracer, read_traceparent, trace_details
from service.tracing.start import open_tracer

RETRY_S = 0.2
"""Pause before the queue is tried again."""
CLAIM_S = 0.25
"""How long the jobs of one claim should take."""


class Worker:
    """Runs live jobs first, jobs of one model in batches; reclaims jobs of dead workers."""

    def __init__(
        self,
        jobs: JobConsumer,
        find: Callable[[str, str], Predictor],
        *,
        max_batch: int,
        heartbeat: Callable[[], None],
        models: WorkerModels | None = None,
        metrics: Metrics | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        """find: called in a thread; what it raises is the reply.

        heartbeat: called often while the worker is healthy. models: get the requested versions.
        metrics: of this process.
        tracer: closed in the end; None: nothing is traced.
        """
        self._jobs = jobs
        self._find = find
        self._max_batch = max_batch
        self._heartbeat = heartbeat
        self._models = models
        self._metrics = metrics or Metrics()
        self._tracer = tracer
        # One: a second model call at the same time would only take the first one's core.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._stopping = False
        self._heartbeat_due = 0.0
        self._job_s = deque((0.0, 0.0, 0.0), 3)
        """Seconds of a job in the last model calls; the least counts, for one may have hung."""
        self._disconnected = ""

    @property
    def stopping(self) -> bool:
        """Whether it was shut down."""
        return self._stopping

    def shut_down(self) -> None:
        """Finish claimed jobs, then stop."""
        self._stopping = True

    async def run(self, *, burst: bool = False) -> None:
        """Run jobs until shut down, or, in a burst, until none is pending.

        Waits for the queue whenever it cannot be reached.
        """
        try:
            while not self._stopping:
                try:
                    await self._jobs.open()
                    self._log_connection("")
                    await self._work(burst=burst)
                except self._jobs.connection_errors as error:
                    self._log_connection(str(error))
                    self._heartbeat()
                    await asyncio.sleep(RETRY_S)
                else:
                    return
        finally:
            await self._jobs.close()
            if self._tracer is not None:
                await asyncio.to_thread(self._tracer.close)
            self._thread.shutdown(wait=False)

    async def _work(self, *, burst: bool) -> None:
        while not self._stopping:
            if time.monotonic() >= self._heartbeat_due:
                await self._maintain()
            claimed = await self._jobs.claim(
                self._claim_count(), wait_s=0 if burst else HEARTBEAT_S
            )
            if burst and not claimed:
                return
            parts = batches(claimed, limit=self._max_batch)
            for at in range(len(parts)):
                await self._complete(*parts[at:])

    def _claim_count(self) -> int:
        """Return how many jobs to claim: of a slow model few, so that other workers get some."""
        return max(1, min(self._max_batch, int(CLAIM_S / max(min(self._job_s), 1e-9))))

    async def _maintain(self) -> None:
        """Send a heartbeat, load requested versions, run jobs of dead workers."""
        self._heartbeat()
        requested, claimed = await self._jobs.maintain(self._models.loaded if self._models else ())
        if self._models:
            self._models.request(requested)
        while claimed:
            await self._complete([claimed])
            claimed = None if self._stopping else await self._jobs.reclaim()
        self._heartbeat_due = time.monotonic() + HEARTBEAT_S

    async def _complete(self, batch: list[ClaimedJob], *others: list[ClaimedJob]) -> None:
        """Run a batch and reply; others: claimed as well, and run later."""
        now = time.monotonic()
        # The gateways of late jobs have timed out by their own clocks.
        in_time = [claim for claim in batch if claim.job.deadline > now]
        held = [*batch, *itertools.chain(*others)]
        replies = await self._predict(in_time, held) if in_time else []
        replied = time.monotonic()
        await self._jobs.complete(batch, replies)
        if self._tracer is not None:
            record(self._tracer, batch, replies, begin=now, replied=replied)

    async def _predict(self, batch: list[ClaimedJob], held: list[ClaimedJob]) -> list[Reply]:
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._run_model, batch)
        until = max(claim.job.deadline for claim in batch)
        while True:
            await asyncio.wait((running,), timeout=HEARTBEAT_S)
            if running.done():
                self._metrics.batch_size.observe(len(batch), batch[0].job.model)
                return running.result()
            # A model that hangs past its deadline gets no heartbeat: the supervisor then kills us.
            if time.monotonic() < until:
                self._heartbeat()
                await self._jobs.heartbeat(held)

    def _run_model(self, batch: list[ClaimedJob]) -> list[Reply]:
        """Return a reply for each job; an error of the model is a reply as well."""
        jobs = [claim.job for claim in batch]
        try:
            tensors: Any = np.stack([job.tensor for job in jobs])
            model = self._find(jobs[0].model, jobs[0].version)
            begin = time.perf_counter()
            scores = model.predict(tensors)
            model_ms = 1e3 * (time.perf_counter() - begin)
            self._job_s.append(model_ms / 1e3 / len(jobs))
            return [Reply(job.id, row, model_ms) for job, row in zip(jobs, scores, strict=True)]
        except Exception as error:  # noqa: BLE001 - it is the reply to its jobs
            if not isinstance(error, TimbreError):
                log(
                    "fault",
                    error=type(error).__name__,
                    model=jobs[0].model,
                    job=jobs[0].id,
                    **trace_details(read_traceparent(batch[0].traceparent)),
                )
                trace(error)
                error = TimbreError(
                    f"{jobs[0].model!r} failed in a worker; its log has it under {jobs[0].id}"
                )
            return [Reply(job.id, error, 0.0) for job in jobs]

    def _log_connection(self, error: str) -> None:
        if error != self._disconnected:
            log("worker disconnected" if error else "worker resumed", why=error or "-")
        self._disconnected = error


def batches(claimed: list[ClaimedJob], *, limit: int) -> list[list[ClaimedJob]]:
    """Return jobs that one model call can run together, first come first; at most `limit` each."""
    groups: dict[tuple[Any, ...], list[ClaimedJob]] = defaultdict(list)
    for claim in claimed:
        job = claim.job
        groups[job.model, job.version, job.tensor.dtype, job.tensor.shape].append(claim)
    return [
        group[at : at + limit] for group in groups.values() for at in range(0, len(group), limit)
    ]


def run(
    settings: Settings,
    *,
    number: int = 0,
    burst: bool = False,
    heartbeat: Callable[[], None] = lambda: None,
    metrics: Metrics | None = None,
) -> int:
    """Run a worker until SIGTERM or SIGINT; return the exit code, 1 without a usable artefact."""
    return run_process(
        _run(
            settings,
            number=number,
            burst=burst,
            heartbeat=heartbeat,
            metrics=metrics or Metrics(None, f"worker-{number}"),
        )
    )


def _new_name() -> str:
    # Containers on one machine may share its name, and all have the same process id.
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"


async def _run(
    settings: Settings,
    *,
    number: int,
    burst: bool,
    heartbeat: Callable[[], None],
    metrics: Metrics,
) -> int:
    systemd = Systemd()
    beat = Heartbeat(systemd.alive if systemd.waits else heartbeat)
    async with _metrics_endpoint(settings, metrics, beat):
        return await _serve(
            settings,
            number=number,
            burst=burst,
            heartbeat=beat,
            metrics=metrics,
            systemd=systemd,
        )


def _metrics_endpoint(
    settings: Settings, metrics: Metrics, heartbeat: Heartbeat
) -> AbstractAsyncContextManager[None]:
    if not settings.metrics_port:
        return nullcontext()
    # Imported here so that a worker without it never loads an HTTP server.
    from service.api.metrics import Scraper
    from service.server.metrics_endpoint import metrics_endpoint

    return metrics_endpoint(settings, Scraper(metrics), heartbeat=heartbeat)


async def _serve(
    settings: Settings,
    *,
    number: int,
    burst: bool,
    heartbeat: Callable[[], None],
    metrics: Metrics,
    systemd: Systemd,
) -> int:
    # Imported here so that the worker itself depends on no back end.
    from service.queue.redis_consumer import RedisConsumer

    store = open_store(settings)
    models = WorkerModels(store, changed=partial(show_models, metrics))
    name = _new_name()
    worker = Worker(
        RedisConsumer(settings.redis, name=name),
        models.find,
        max_batch=settings.max_batch,
        heartbeat=heartbeat,
        models=models,
        metrics=metrics,
        tracer=open_tracer(settings.otel, ratio=settings.otel_ratio, role="worker"),
    )
    on_stop_signal(worker.shut_down, limit_s=settings.grace)
    loading = await _load(models, settings.models, worker, heartbeat)
    try:
        if loading.done():
            loading.result()
    except (TimbreError, OSError) as error:
        log("cannot start worker", why=error)
        return 1
    if not worker.stopping:
        models.show()
        log("worker ready", number=number, name=name, models=",".join(models.loaded))
        systemd.ready()
        await worker.run(burst=burst)
    log("worker stopped", number=number, name=name)
    return 0


async def _load(
    models: WorkerModels, names: tuple[str, ...], worker: Worker, heartbeat: Callable[[], None]
) -> asyncio.Task[None]:
    """Return the task that loads the models, done, or as far as it is when the worker stops."""
    loading = asyncio.create_task(asyncio.to_thread(models.load, names))
    while not (loading.done() or worker.stopping):
        await asyncio.wait((loading,), timeout=HEARTBEAT_S)
        heartbeat()
    return loading
