"""The queue in Redis: any number of gateways and workers, on any machines. This is the gateways' side."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from common.errors import Busy, InputError, Late, Leaving
from service.log import log, trace
from service.queue import redis_versions
from service.queue.base import Job, JobResult
from service.queue.codec import Reply, decode_replies, encode_job
from service.queue.flow_control import ByteBudget, FlowControl
from service.queue.liveness import Liveness
from service.queue.pending import PendingReplies
from service.queue.redis_connection import (
    ANSWERS,
    CLIPS,
    GATEWAYS,
    GROUP,
    LIVE,
    PART_S,
    RETRY_S,
    TROUBLE,
    close,
    connect,
    heartbeats,
    prepare,
    redacted,
)

MARK_S = 3_600
UNUSABLE = "the queue cannot be used"
"""What clients are told; why stands in the log."""
BLOCK_MS = 2_000
WATCH_S = 1.0
ADD = """
local room, ids = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1]), {}
for i = 2, #ARGV do
    ids[i - 1] = i - 1 <= room and redis.call('XADD', KEYS[1], '*', 'job', ARGV[i])
end
return ids
"""
"""Adds jobs while there is room; gives their entries' ids, null for those refused."""
MISSING = """
local missing = {}
for _, id in ipairs(ARGV) do
    if #redis.call('XRANGE', KEYS[1], id, id) == 0 then missing[#missing + 1] = id end
end
return missing
"""
"""Gives those of some entries that are not there."""


class RedisQueue:
    """Sends jobs to workers through Redis; whatever comes back finds the one that waits."""

    def __init__(
        self,
        url: str,
        *,
        max_jobs: int,
        max_job_bytes: int = 2**28,
        served: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        """max_jobs: of live streams in Redis, and again of clips. max_job_bytes: of each, of this gateway.

        served: gives the versions that workers should hold, as NAME:VERSION.
        """
        self._served = served
        self._redis = connect(url)
        self._where = redacted(url)
        self._max_jobs = max_jobs
        self._weights = {stream: ByteBudget(limit=max_job_bytes) for stream in (LIVE, CLIPS)}
        self._name = uuid.uuid4().hex[:12]
        self._replies = PendingReplies()
        self._line = FlowControl(limit=max_jobs)
        self._outbox: dict[str, tuple[str, bytes]] = {}  # job: stream, bytes
        self._entries: dict[str, tuple[str, bytes, bytes]] = {}  # job: stream, entry, bytes
        self._withdrawn: list[tuple[str, bytes]] = []
        self._read: list[bytes] = []
        self._work = asyncio.Event()
        self._well = asyncio.Event()
        self._failed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._leaving = self._closed = False
        self._pulses = Liveness()
        self._lost = "the queue was not reached yet"
        self._deserted = ""

    @property
    def depth(self) -> int:
        """Jobs of this gateway that wait for their answer."""
        return len(self._replies) + len(self._line)

    @property
    def trouble(self) -> str:
        """Why no new work should be taken now; empty when all is well."""
        return self._lost or self._deserted

    async def open(self) -> None:
        """Return once Redis is there and a worker lives, however long that takes. Safe to call twice."""
        if not self._tasks:
            steps = (self._send, self._receive, self._watch)
            self._tasks = [asyncio.create_task(self._forever(step)) for step in steps]
        await self._well.wait()

    async def prepare(self, model: str, version: str) -> None:
        """Return when every worker that lives has this version. Raises ArtefactError naming those that have not."""
        await redis_versions.prepare(self._redis, f"{model}:{version}")

    async def submit(self, job: Job) -> JobResult:
        """Return the answer. Cancelling withdraws the job. Raises Busy, Late, Leaving, Failed, what the model did."""
        now = time.monotonic()
        if self._leaving:
            raise Leaving("the queue takes no new jobs")
        if self._lost:
            raise Busy(self._lost)
        if job.deadline <= now:
            raise Late("the deadline passed before the job was asked")
        stream = LIVE if job.live else CLIPS
        with self._weights[stream].hold(job.tensor.nbytes):
            try:
                async with asyncio.timeout(job.deadline - now):
                    return await (
                        self._in_line(job, now) if job.live else self._ask(job, stream, now)
                    )
            except TimeoutError:
                raise Late(f"no answer from {job.model!r} within the deadline") from None

    async def _in_line(self, job: Job, since: float) -> JobResult:
        """Ask when the job's turn has come."""
        await self._line.acquire(job)
        begin, wait_s = time.monotonic(), None
        try:
            answer = await self._ask(job, LIVE, since)
            wait_s = time.monotonic() - begin - answer.model_ms / 1e3
        finally:
            self._line.release(wait_s)
        return answer

    async def _ask(self, job: Job, stream: str, since: float) -> JobResult:
        data = encode_job(job, reply_to=self._name, now=time.monotonic())
        with self._replies.expect(job.id) as future:
            self._outbox[job.id] = (stream, data)
            self._work.set()
            try:
                reply = await future
            finally:
                self._forget(job, withdraw=not future.done() or future.cancelled())
        if isinstance(reply.result, Exception):
            raise reply.result
        queue_ms = max(0.0, 1e3 * (time.monotonic() - since) - reply.model_ms)
        return JobResult(
            job_id=job.id, scores=reply.result, queue_ms=queue_ms, model_ms=reply.model_ms
        )

    async def close(self) -> None:
        """Wait for the answers to what was accepted, each no longer than its deadline; then part from Redis."""
        self._leaving = True
        try:
            await self._line.empty()
            await self._replies.empty()
        finally:
            self._closed = True
            await _end(self._tasks)
            with suppress(*TROUBLE):
                async with asyncio.timeout(PART_S):
                    await self._redis.delete(ANSWERS + self._name, GATEWAYS + self._name)
            await close(self._redis)

    def _forget(self, job: Job, *, withdraw: bool) -> None:
        self._outbox.pop(job.id, None)
        entry = self._entries.pop(job.id, None)
        if entry and withdraw:
            self._withdrawn.append(entry[:2])
            self._work.set()

    async def _forever(self, step: Callable[[], Awaitable[None]]) -> None:
        while not self._closed:
            try:
                await step()
            except Exception as error:  # noqa: BLE001 - a loop that ended would leave its askers waiting
                if not isinstance(error, TROUBLE):
                    trace(error)
                self._note(lost=UNUSABLE, why=str(error))
                self._failed.set()
                await asyncio.sleep(RETRY_S)

    async def _send(self) -> None:
        """Send all that gathered while the last was under way, in one go."""
        await self._work.wait()
        self._work.clear()
        jobs, self._outbox = self._outbox, {}
        withdrawn, self._withdrawn = self._withdrawn, []
        lanes = {
            stream: [job for job, sent in jobs.items() if sent[0] == stream]
            for stream in (LIVE, CLIPS)
        }
        lanes = {stream: lane for stream, lane in lanes.items() if lane}
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for stream, lane in lanes.items():
                    pipe.eval(ADD, 1, stream, self._max_jobs, *(jobs[job][1] for job in lane))
                for stream, entry in withdrawn:
                    pipe.xack(stream, GROUP, entry)
                    pipe.xdel(stream, entry)
                results = await pipe.execute(raise_on_error=False)
        except TROUBLE:
            self._refuse(jobs, UNUSABLE)
            raise
        for (stream, lane), result in zip(lanes.items(), results, strict=False):
            self._sent(stream, {job: jobs[job][1] for job in lane}, result)
        for result in results[: len(lanes)]:
            if isinstance(result, Exception):
                raise result

    def _sent(self, stream: str, jobs: dict[str, bytes], result: Any) -> None:
        """Note what became of jobs: each an entry, or refused."""
        if isinstance(result, Exception):
            self._refuse(jobs, UNUSABLE)
            return
        for (job, data), entry in zip(jobs.items(), result, strict=True):
            if entry is None:
                self._refuse([job], f"{self._max_jobs} jobs wait in the queue")
            elif job in self._replies:
                self._entries[job] = (stream, entry, data)
            else:  # given up while it was under way
                self._withdrawn.append((stream, entry))
                self._work.set()

    async def _send_again(self) -> None:
        """Send again what waits and is in no stream: Redis came back empty, older than it was, or as a late replica.

        What was answered meanwhile is run twice; the second answer is dropped.
        """
        for stream in (LIVE, CLIPS):
            entries = {entry: job for job, (at, entry, _) in self._entries.items() if at == stream}
            for entry in await self._redis.eval(MISSING, 1, stream, *entries) if entries else ():
                if kept := self._entries.pop(entries[entry], None):
                    self._outbox[entries[entry]] = (stream, kept[2])
        self._work.set()

    def _refuse(self, jobs: Any, why: str) -> None:
        for job in jobs:
            self._replies.resolve(Reply(job, Busy(why), 0.0))

    async def _receive(self) -> None:
        """Wait for answers. The stream holds what was not read yet, so nothing is lost when the connection is."""
        key = ANSWERS + self._name
        async with self._redis.pipeline(transaction=False) as pipe:
            if self._read:
                pipe.xdel(key, *self._read)
            pipe.xread({key: "0-0"}, block=BLOCK_MS)
            *deleted, found = await pipe.execute(raise_on_error=False)
        if isinstance(found, Exception):
            raise found
        entries = found[0][1] if found else []
        refused = any(isinstance(each, Exception) for each in deleted)
        if entries or not refused:
            self._read = [entry for entry, _ in entries]
        for _, fields in entries:
            try:
                for reply in decode_replies(fields.get(b"answers", b"")):
                    self._replies.resolve(reply)
            except InputError as error:
                log("queue answer not understood", why=error)
        # Those who were answered go first; a tenth of a round trip. What is not deleted would be
        # read without a pause.
        await asyncio.sleep(RETRY_S if entries and refused else 0)

    async def _watch(self) -> None:
        """See whether Redis takes writes and at least one worker is there; soon again when something failed."""
        lost = bool(self._lost)
        self._failed.clear()
        if lost:
            await prepare(self._redis)
        if not await self._redis.set(GATEWAYS + self._name, "here", ex=MARK_S, get=True) or lost:
            await self._send_again()
        await redis_versions.request_versions(self._redis, self._served())
        alive = self._pulses.look(*await heartbeats(self._redis), now=time.monotonic())
        self._note(lost="", deserted="" if alive else "no worker takes jobs")
        with suppress(TimeoutError):
            async with asyncio.timeout(WATCH_S if alive else RETRY_S):
                await self._failed.wait()
            await asyncio.sleep(RETRY_S)

    def _note(self, *, lost: str, deserted: str = "", why: str = "") -> None:
        before = self.trouble
        self._lost, self._deserted = lost, deserted
        if self.trouble != before:
            log(
                "queue trouble" if self.trouble else "queue is well",
                redis=self._where,
                why=why or self.trouble or "-",
            )
        if self.trouble:
            self._well.clear()
        else:
            self._well.set()


async def _end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: redis-py swallows a cancellation now and then."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)
