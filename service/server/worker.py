"""A worker: takes jobs from Redis, runs models on them, answers. Nothing else."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from common.errors import TimbreError
from models.store import Store
from service.lifecycle import on_stop_signal
from service.lifecycle import run as run_process
from service.log import log, trace
from service.queue.codec import Reply
from service.queue.local import Predictor
from service.queue.redis_connection import RETRY_S, TROUBLE
from service.queue.redis_consumer import BEAT_S, ClaimedJob, RedisConsumer
from service.server.worker_models import WorkerModels
from service.settings import Settings


class Worker:
    """Runs what waits, live jobs first, jobs of one model together; takes over what other workers left."""

    def __init__(
        self,
        jobs: RedisConsumer,
        find: Callable[[str, str], Predictor],
        *,
        max_batch: int,
        pulse: Callable[[], None],
        stock: WorkerModels | None = None,
    ) -> None:
        """find: called in a thread; what it raises is the answer. pulse: called often while all is well.

        stock: told what gateways want.
        """
        self._jobs = jobs
        self._find = find
        self._max_batch = max_batch
        self._pulse = pulse
        self._stock = stock
        # One: a second model call at the same time would only take the first one's core.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._leaving = False
        self._due = 0.0
        self._trouble = ""

    def shut_down(self) -> None:
        """Finish what is taken, then stop."""
        self._leaving = True

    async def run(self, *, burst: bool = False) -> None:
        """Work until told to leave, or, in a burst, until nothing waits. When Redis is lost, wait for it."""
        try:
            while not self._leaving:
                try:
                    await self._jobs.open()
                    self._note("")
                    await self._work(burst=burst)
                except TROUBLE as error:
                    self._note(str(error))
                    self._pulse()
                    await asyncio.sleep(RETRY_S)
                else:
                    return
        finally:
            await self._jobs.close()
            self._thread.shutdown(wait=False)

    async def _work(self, *, burst: bool) -> None:
        while not self._leaving:
            if time.monotonic() >= self._due:
                await self._rounds()
            taken = await self._jobs.take(self._max_batch, wait_s=0 if burst else BEAT_S)
            if burst and not taken:
                return
            for batch in batches(taken, limit=self._max_batch):
                await self._answer(batch)

    async def _rounds(self) -> None:
        """Show that we live, take over from those that do not."""
        self._pulse()
        await self._jobs.beat([])
        if self._stock:
            self._stock.want(await self._jobs.requested_versions(self._stock.held))
        while not self._leaving and (delivery := await self._jobs.rescue()):
            await self._answer([delivery])
        await self._jobs.tidy()
        self._due = time.monotonic() + BEAT_S

    async def _answer(self, batch: list[ClaimedJob]) -> None:
        now = time.monotonic()
        # Those who asked for the others have been told by their own clocks.
        fresh = [delivery for delivery in batch if delivery.order.job.deadline > now]
        await self._jobs.done(batch, await self._run(fresh) if fresh else [])

    async def _run(self, batch: list[ClaimedJob]) -> list[Reply]:
        running = asyncio.get_running_loop().run_in_executor(self._thread, self._predict, batch)
        until = max(delivery.order.job.deadline for delivery in batch)
        while True:
            await asyncio.wait((running,), timeout=BEAT_S)
            if running.done():
                return running.result()
            # A model that hangs past its deadline gets no pulse: whoever watches us will end us.
            if time.monotonic() < until:
                self._pulse()
                await self._jobs.beat(batch)

    def _predict(self, batch: list[ClaimedJob]) -> list[Reply]:
        """Return a reply for each; what the model raises is one as well."""
        jobs = [delivery.order.job for delivery in batch]
        tensors: Any = np.stack([job.tensor for job in jobs])
        try:
            model = self._find(jobs[0].model, jobs[0].version)
            begin = time.perf_counter()
            scores = model.predict(tensors)
            model_ms = 1e3 * (time.perf_counter() - begin)
            return [Reply(job.id, row, model_ms) for job, row in zip(jobs, scores, strict=True)]
        except Exception as error:  # noqa: BLE001 - whatever a model raises is the answer to its jobs
            if not isinstance(error, TimbreError):
                log("fault", error=type(error).__name__, model=jobs[0].model, job=jobs[0].id)
                trace(error)
                error = TimbreError(
                    f"{jobs[0].model!r} failed in a worker; its log has it under {jobs[0].id}"
                )
            return [Reply(job.id, error, 0.0) for job in jobs]

    def _note(self, trouble: str) -> None:
        if trouble != self._trouble:
            log("worker waits for Redis" if trouble else "worker goes on", why=trouble or "-")
        self._trouble = trouble


def batches(taken: list[ClaimedJob], *, limit: int) -> list[list[ClaimedJob]]:
    """Return jobs that one model call can run together, in the order of their first; no more than `limit` each."""
    alike: dict[tuple[Any, ...], list[ClaimedJob]] = defaultdict(list)
    for delivery in taken:
        job = delivery.order.job
        alike[job.model, job.version, job.tensor.dtype, job.tensor.shape].append(delivery)
    return [
        group[at : at + limit] for group in alike.values() for at in range(0, len(group), limit)
    ]


def run(
    settings: Settings,
    *,
    number: int = 0,
    burst: bool = False,
    pulse: Callable[[], None] = lambda: None,
) -> int:
    """Be a worker until SIGTERM or SIGINT; return the exit code, 1 when there is no usable artefact."""
    return run_process(_run(settings, number=number, burst=burst, pulse=pulse))


async def _run(settings: Settings, *, number: int, burst: bool, pulse: Callable[[], None]) -> int:
    stock = WorkerModels(Store(settings.artefacts))
    # Containers on one machine may share its name, and all have the same process id.
    name = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(2)}"
    jobs = RedisConsumer(settings.redis, name=name)
    worker = Worker(jobs, stock.find, max_batch=settings.max_batch, pulse=pulse, stock=stock)
    on_stop_signal(worker.shut_down)
    loading = asyncio.create_task(asyncio.to_thread(stock.begin, settings.models))
    while not loading.done():
        await asyncio.wait((loading,), timeout=BEAT_S)
        pulse()
    try:
        loading.result()
    except TimbreError as error:
        log("cannot work", why=error)
        return 1
    log("worker ready", number=number, name=name, models=",".join(stock.held))
    await worker.run(burst=burst)
    log("worker leaves", number=number, name=name)
    return 0
