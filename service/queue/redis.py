"""The gateway's side of the queue in Redis: any number of gateways and workers."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from common.budget import Budget
from common.errors import Busy, Leaving
from service.log import trace
from service.queue import redis_versions
from service.queue.base import SHUTTING_DOWN, Job, JobResult, no_result, submitted_late
from service.queue.codec import encode_job
from service.queue.flow_control import FlowControl
from service.queue.pending import PendingReplies
from service.queue.redis_connection import (
    CLOSE_S,
    REDIS_ERRORS,
    RETRY_S,
    cancel_all,
    close,
    connect,
    redacted,
)
from service.queue.redis_health import QueueHealth
from service.queue.redis_keys import CLIP_JOBS, JOB_STREAMS, LIVE_JOBS
from service.queue.redis_receiver import ReplyReceiver
from service.queue.redis_sender import UNUSABLE, JobSender
from service.tracing.messaging import begin_sending, record_reply


class RedisQueue:
    """Admits jobs; a sender, a receiver and a health check run as tasks beside them."""

    def __init__(
        self,
        url: str,
        *,
        max_jobs: int,
        max_job_bytes: int = 2**28,
        served: Callable[[], Iterable[str]] = tuple,
        workers: Callable[[int], None] = lambda _: None,
    ) -> None:
        """max_jobs: live ones in Redis, and again clips. max_job_bytes: of each, of this gateway.

        served: gives the versions that workers should load, as NAME:VERSION. workers: gets how many
        are alive.
        """
        name = uuid.uuid4().hex[:12]
        self._name = name
        self._redis = connect(url)
        self._budgets = {
            key: Budget(max_job_bytes, "bytes of jobs are pending") for key in JOB_STREAMS
        }
        self._pending = PendingReplies()
        self._flow = FlowControl(limit=max_jobs)
        self._sender = JobSender(self._redis, self._pending, max_jobs=max_jobs)
        self._receiver = ReplyReceiver(self._redis, self._pending, name=name)
        self._health = QueueHealth(
            self._redis,
            name=name,
            where=redacted(url),
            versions=served,
            resend=self._sender.resend_missing,
            workers=workers,
        )
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = self._closed = False

    @property
    def depth(self) -> int:
        """Jobs of this gateway that have no reply yet."""
        return len(self._pending) + len(self._flow)

    @property
    def unavailable(self) -> str:
        """Why no new jobs should be submitted now; empty while the queue is healthy."""
        return self._health.unavailable

    @property
    def overdue_s(self) -> float:
        """Always 0: models run in workers, which tell it themselves."""
        return 0.0

    def congested(self, _: str) -> bool:
        """Return whether as many live jobs wait for flow control as it lets through at a time."""
        return self._flow.congested

    def clip_wait_s(self, _: str) -> float:
        """Return 0: the estimate is of the queue in Redis, and made when a clip gets there."""
        return 0.0

    async def open(self) -> None:
        """Return once Redis is reached and a worker is alive. Safe to call twice."""
        if not self._tasks:
            steps = (self._sender.step, self._receiver.step, self._health.step)
            self._tasks = [asyncio.create_task(self._repeat(step)) for step in steps]
        await self._health.healthy.wait()

    async def prepare(self, model: str, version: str) -> None:
        """Return once every live worker has loaded this version.

        Raises ArtefactError naming the workers that have not; Busy while Redis is away.
        """
        await redis_versions.prepare(self._redis, f"{model}:{version}")

    async def submit(self, job: Job) -> JobResult:
        """Return the result. Cancelling withdraws the job.

        Raises Busy, Late, Leaving, Failed, and what the model raised.
        """
        now = time.monotonic()
        if self._closing:
            raise Leaving(SHUTTING_DOWN)
        if self._health.redis_down:
            raise Busy(self._health.redis_down)
        if (left_s := job.deadline - now) <= 0:
            raise submitted_late()
        with self._budgets[LIVE_JOBS if job.live else CLIP_JOBS].hold(job.tensor.nbytes):
            try:
                async with asyncio.timeout(left_s):
                    return await (
                        self._run_live(job, now) if job.live else self._run(job, CLIP_JOBS, now)
                    )
            except TimeoutError:
                raise no_result(job) from None

    async def _run_live(self, job: Job, since: float) -> JobResult:
        """Run a job once flow control lets it through."""
        await self._flow.acquire(job)
        sent_at, wait_s = time.monotonic(), None
        try:
            result = await self._run(job, LIVE_JOBS, since)
            wait_s = time.monotonic() - sent_at - result.model_ms / 1e3
        finally:
            if wait_s is None and time.monotonic() >= job.deadline:
                wait_s = math.inf
            self._flow.release(wait_s, round_trips_s=2 * self._sender.round_trip_s)
        return result

    async def _run(self, job: Job, key: str, since: float) -> JobResult:
        data = encode_job(job, reply_to=self._name, now=time.monotonic())
        sending = None if job.trace is None else begin_sending(job.trace, key, job_id=job.id)
        with self._pending.expect(job.id) as future:
            self._sender.send(job.id, key, data, deadline=job.deadline, trace=sending)
            try:
                reply = await future
            finally:
                self._sender.forget(job.id, withdraw=not future.done() or future.cancelled())
        if job.trace is not None and sending is not None:
            record_reply(job.trace, sending, job_id=job.id)
        if isinstance(reply.result, Exception):
            raise reply.result
        queue_ms = max(0.0, 1e3 * (time.monotonic() - since) - reply.model_ms)
        return JobResult(
            job_id=job.id, scores=reply.result, queue_ms=queue_ms, model_ms=reply.model_ms
        )

    async def close(self) -> None:
        """Wait for the replies to accepted jobs, none past its deadline; then close the client."""
        self._closing = True
        try:
            await self._flow.empty()
            await self._pending.empty()
        finally:
            self._closed = True
            await cancel_all(self._tasks)
            with suppress(*REDIS_ERRORS):
                async with asyncio.timeout(CLOSE_S):
                    await self._redis.delete(self._receiver.key, self._health.key)
            await close(self._redis)

    async def _repeat(self, step: Callable[[], Awaitable[None]]) -> None:
        while not self._closed:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - without the task jobs get no reply
                if not isinstance(error, REDIS_ERRORS):
                    trace(error)
                self._health.report_failure(UNUSABLE, why=str(error))
                await asyncio.sleep(RETRY_S)
