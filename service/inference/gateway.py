"""What all endpoints use: admission of requests and streams, inference, shutdown in order."""

from __future__ import annotations

import asyncio
import gc
import itertools
import math
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from common.budget import Budget
from common.errors import Busy, Leaving, TimbreError
from common.memory import trim
from features.config import Tensor
from models.store import Model, Store
from service.event_feed.feed import Bus, EventFeed, open_bus
from service.inference.artefact_store import open_store
from service.inference.job_counter import KINDS, JobCounter
from service.inference.load_shedding import CLIPS_S, QUIET_S, LoadShedder
from service.inference.loop_monitor import LoopMonitor
from service.inference.model_metrics import show_models
from service.inference.registry import ModelRegistry
from service.inference.turns import Turns
from service.inference.version_scanner import VersionScanner
from service.inference.version_updater import VersionUpdater, open_queue
from service.lifecycle import Stoppable
from service.log import log
from service.metrics.metrics import Metrics
from service.queue.base import Job, JobQueue, JobResult, hung, wait_too_long
from service.queue.local import LocalQueue
from service.settings import Settings
from service.tracing.spans import Span, begin_job, in_queue
from service.tracing.start import open_tracer

IDLE_S = 5.0
"""How long no request is in flight and no stream is open before memory is returned: it takes some
10 ms, and 100 streams leave 70 MB."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result of a model for one tensor."""

    scores: dict[str, float]
    """Every label, best first."""
    labels: tuple[str, ...]
    """Those at or over their threshold, best first."""
    queue_ms: float
    model_ms: float
    version: str
    """Of the model."""


class Gateway:
    """Holds the models and their queue, admits work, and shuts down in order."""

    _settled = False
    """Whether the workers have the versions that are served."""

    def __init__(
        self,
        settings: Settings,
        *,
        event_bus: Bus | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        """event_bus: carries the events that streams publish between several gateways.

        metrics: of this process.
        """
        self.settings = settings
        self.metrics = metrics or Metrics()
        self._jobs = JobCounter(self.metrics)
        store = open_store(settings)
        self.tracer = open_tracer(settings.otel, ratio=settings.otel_ratio, role="gateway")
        self.scanner = VersionScanner(store, models=settings.models)
        self.registry = ModelRegistry(
            store,
            self.scanner,
            patience_s=settings.clip_deadline,
            changed=partial(show_models, self.metrics),
        )
        self.queue = _queue(settings, store, self.registry, self.metrics)
        self.updater = VersionUpdater(self.registry, self.scanner, prepare=self.queue.prepare)
        self._shutting_down = False
        self.opening: asyncio.Task[None]
        self.waits_for_others: Callable[[], bool] = lambda: False
        """Whether to take no work yet though all is open, as others on the port do not."""
        self.loop_monitor = LoopMonitor(
            has_work=lambda: self._work > 0, observe=self.metrics.loop_lag.observe
        )
        self.turns = Turns(congested=self.queue.congested)
        self.load_shedder = LoadShedder()
        self._updating: asyncio.Task[None] | None = None
        self._streams: set[Stoppable] = set()
        self._stream_budget = Budget(settings.max_streams, "streams are open on this server")
        self._streams_per_client: dict[str, Budget] = {}
        self._work = 0
        self._trimming: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._ids = itertools.count()
        self._origin = uuid.uuid4().hex[:8]
        self.feed = EventFeed(origin=self._origin, bus=event_bus or open_bus(settings.redis))

    @property
    def models(self) -> list[Model]:
        """The current versions, loaded and warmed; empty until then."""
        return self.registry.models

    @property
    def idle(self) -> bool:
        """Whether no request is in flight and no stream is open."""
        return not (self._work or self._streams or self._streams_per_client)

    @property
    def ready(self) -> bool:
        """Whether `check_ready` raises nothing."""
        try:
            self.check_ready()
        except TimbreError:
            return False
        return True

    @property
    def hangs(self) -> str:
        """Why only a restart helps: a model never returns; empty while none is so late."""
        return hung(self.queue)

    @property
    def requests(self) -> int:
        """Accepted requests without a response, and open streams."""
        return self._work

    @property
    def streams(self) -> int:
        """Open streams."""
        return len(self._streams)

    def open(self) -> None:
        """Start to load the models; `opening` ends when they are ready, or raises ArtefactError."""
        self.opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        await self.feed.open()
        await asyncio.to_thread(self.registry.load)
        show_models(self.metrics, self.models)
        await open_queue(self.queue, self.updater)
        self._settled = True
        if not self._shutting_down:
            self._updating = asyncio.create_task(self.updater.watch())

    def new_id(self) -> str:
        """Return an id that no other job, request or stream of any gateway has."""
        return f"{self._origin}-{next(self._ids):x}"

    async def infer(
        self,
        model: Model,
        tensor: Tensor,
        *,
        deadline: float,
        live: bool,
        stream: str,
        trace: Span | None = None,
    ) -> Prediction:
        """Return the prediction. Cancelling withdraws the job. Raises Busy, Late, Leaving.

        trace: by default that of the request.
        """
        result = await self._submit(
            model, tensor, deadline=deadline, live=live, stream=stream, trace=trace
        )
        return prediction_of(
            model, result.scores, queue_ms=result.queue_ms, model_ms=result.model_ms
        )

    async def infer_all(
        self, model: Model, tensors: Sequence[Tensor] | Tensor, *, deadline: float, live: bool
    ) -> list[JobResult]:
        """Return the results of the tensors of one request, at least one, in their order.

        A batch at a time: a long request alone must not fill the queue. Cancelling withdraws the
        jobs. live: they run before clips, each as a stream of its own. Raises as `infer` does.
        """
        stream = "" if live else self.new_id()

        def submit(tensor: Tensor) -> Coroutine[Any, Any, JobResult]:
            own = stream or self.new_id()
            return self._submit(model, tensor, deadline=deadline, live=live, stream=own)

        if len(tensors) == 1:
            return [await submit(tensors[0])]
        size, results = self.settings.max_batch, list[JobResult]()
        for at in range(0, len(tensors), size):
            batch = [asyncio.create_task(submit(each)) for each in tensors[at : at + size]]
            try:
                results += await asyncio.gather(*batch)
            finally:
                for task in batch:
                    task.cancel()
        return results

    async def _submit(
        self,
        model: Model,
        tensor: Tensor,
        *,
        deadline: float,
        live: bool,
        stream: str,
        trace: Span | None = None,
    ) -> JobResult:
        job = Job(
            id=self.new_id(),
            model=model.name,
            version=model.version,
            tensor=tensor,
            deadline=deadline,
            live=live,
            stream=stream,
            trace=None if self.tracer is None else begin_job(trace, model.name, model.version),
        )
        labels = (model.name, KINDS[live])
        self._jobs.begin(job.id, labels)
        try:
            if job.trace is None:
                return await self.queue.submit(job)
            with in_queue(job.trace):
                return await self.queue.submit(job)
        finally:
            self._jobs.end(job.id, labels)

    def check_ready(self) -> None:
        """Raise as `check_accepts` does, and Busy when a model hangs, though the others go on."""
        self.check_accepts()
        if self.hangs:
            raise Busy(self.hangs)

    def check_accepts(self) -> None:
        """Raise Leaving at shutdown; Busy while models load or the queue is unavailable."""
        if self._shutting_down:
            raise Leaving("the server is shutting down")
        if not self.registry.loaded:
            raise Busy(self.registry.loading)
        if self.queue.unavailable:
            raise Busy(self.queue.unavailable)
        if not self._settled:
            raise Busy("the workers are still loading the models")
        if self.waits_for_others():
            raise Busy("another gateway on this port is not ready")

    def check_load(self) -> None:
        """Raise Busy when load has been shed for so long that no new stream should be accepted."""
        shed_s = self.load_shedder.duration_s(self.turns.clock())
        if shed_s > self.settings.max_shedding:
            raise Busy(f"this server has dropped windows for {shed_s:.0f} s: it is overloaded")

    def check_clip_load(self, model: Model) -> None:
        """Raise Busy when a model drops windows of streams, before which its clips come last."""
        shed_s = self.load_shedder.duration_s(self.turns.clock(), model=model.name)
        if shed_s > CLIPS_S:
            raise Busy(
                f"{model.name!r} is overloaded: it has dropped windows for {shed_s:.0f} s",
                retry_after=math.ceil(QUIET_S),
            )

    def check_wait(self, model: Model, *, deadline: float) -> None:
        """Raise Busy when a clip or picture submitted now would wait past its deadline."""
        wait_s, left_s = self.queue.clip_wait_s(model.name), deadline - time.monotonic()
        if wait_s > max(0.0, left_s):
            raise wait_too_long(f"{model.name!r} is overloaded", wait_s=wait_s, left_s=left_s)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count work in flight; shutdown waits for it. Raises as `check_accepts` does."""
        self.check_accepts()
        self._work += 1
        self.loop_monitor.wake()
        try:
            yield
        finally:
            self._work -= 1
            self._idle.set()
            self._trim_soon()

    @contextmanager
    def streaming(self, stream: Stoppable, client: str, *, model: str) -> Iterator[None]:
        """Count a stream of a model until the block ends. Raises Busy past the limits."""
        limit = self.settings.max_streams_per_client
        of_client = self._streams_per_client.setdefault(
            client, Budget(limit, f"streams are open from {client}")
        )
        try:
            with self._stream_budget.hold(), of_client.hold():
                self._streams.add(stream)
                self.metrics.streams.add(model)
                try:
                    yield
                finally:
                    self._streams.discard(stream)
                    self.metrics.streams.add(model, by=-1)
        finally:
            if not of_client.used:
                self._streams_per_client.pop(client, None)
            self._trim_soon()

    def _trim_soon(self) -> None:
        """Return free memory to the system once nothing has been going on for a while."""
        if self.idle:
            if self._trimming:
                self._trimming.cancel()
            self._trimming = asyncio.get_running_loop().call_later(IDLE_S, self._trim_if_idle)

    def _trim_if_idle(self) -> None:
        if self.idle:
            # Ended streams lie in reference cycles, and an idle process collects no garbage.
            gc.collect()
            trim()

    async def shut_down(self) -> None:
        """Reject new work, end the streams, finish accepted work, close the queue."""
        if self._shutting_down:
            return
        self._shutting_down = True
        if self._trimming:
            self._trimming.cancel()
        if self._updating:
            self._updating.cancel()
        self.loop_monitor.stop()
        for stream in tuple(self._streams):
            stream.shut_down()
        try:
            async with asyncio.timeout(self.settings.grace):
                while self._work:
                    self._idle.clear()
                    await self._idle.wait()
                await self.queue.close()
        except TimeoutError:
            log("grace period expired", unfinished=self._work)
        finally:
            await self.feed.close()


def _queue(settings: Settings, store: Store, registry: ModelRegistry, metrics: Metrics) -> JobQueue:
    if not settings.redis:
        return LocalQueue(
            store.load,
            max_batch=settings.max_batch,
            max_jobs=settings.max_jobs,
            max_job_bytes=settings.max_job_bytes,
            ran=lambda model, jobs: metrics.batch_size.observe(jobs, model),
        )
    # Imported here so that a server without Redis never loads it.
    from service.queue.redis import RedisQueue

    return RedisQueue(
        settings.redis,
        max_jobs=settings.max_jobs,
        max_job_bytes=settings.max_job_bytes,
        served=lambda: [f"{model.name}:{model.version}" for model in registry.models],
        workers=metrics.workers.set,
    )


def check_scores(model: Model, scores: Any) -> None:
    """Raise TimbreError if the number of scores is wrong, or one is no number."""
    if len(scores) != len(model.labels):
        raise TimbreError(
            f"{model.name} returned {len(scores)} scores for {len(model.labels)} labels"
        )
    # In a third of the time of all().
    if np.count_nonzero(np.isfinite(scores)) < len(scores):
        raise TimbreError(f"{model.name} returned scores that are NaN or infinite for this input")


def prediction_of(model: Model, scores: Any, *, queue_ms: float, model_ms: float) -> Prediction:
    """Return the scores by label, best first.

    Raises TimbreError if their number is wrong, or one is no number.
    """
    check_scores(model, scores)
    named = zip(model.labels, scores.tolist(), (scores >= model.thresholds).tolist(), strict=True)
    ranked = sorted(named, key=lambda scored: -scored[1])
    return Prediction(
        scores={name: round(score, 6) for name, score, _ in ranked},
        labels=tuple(name for name, _, over in ranked if over),
        queue_ms=queue_ms,
        model_ms=model_ms,
        version=model.version,
    )
