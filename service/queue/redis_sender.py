"""Sends jobs to Redis in batches; withdraws cancelled ones, resends those that Redis lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from common.errors import Busy
from service.queue.base import Reply, queue_full, wait_too_long
from service.queue.pending import PendingReplies
from service.queue.redis_connection import REDIS_ERRORS
from service.queue.redis_keys import CLIP_JOBS, GROUP, JOB_STREAMS
from service.queue.wait_estimate import WaitEstimate
from service.tracing.spans import Span

SLOWER = 1.05
"""By how much the shortest round trip may grow with each one."""
UNUSABLE = "the queue is unavailable"
"""What clients get; the reason stands in the log."""
ADD = """
local length, added = redis.call('XLEN', KEYS[1]), {}
for i = 1, #ARGV, 3 do
    local entry = false
    if length < tonumber(ARGV[i]) then
        if ARGV[i + 2] == '' then
            entry = redis.call('XADD', KEYS[1], '*', 'job', ARGV[i + 1])
        else
            entry = redis.call('XADD', KEYS[1], '*', 'job', ARGV[i + 1], 'trace', ARGV[i + 2])
        end
    end
    added[#added + 1] = {length, entry}
    length = entry and length + 1 or length
end
return added
"""
"""Adds jobs and their traceparents, each while the stream has fewer entries than it says.

Returns for each the number of those before it, and its entry's id, null if it was rejected.
"""
MISSING = """
local missing = {}
for _, id in ipairs(ARGV) do
    if #redis.call('XRANGE', KEYS[1], id, id) == 0 then missing[#missing + 1] = id end
end
return missing
"""
"""Returns those of the given entries that do not exist."""


class _Unsent(NamedTuple):
    key: str
    """Of the stream of jobs."""
    data: bytes
    deadline: float
    """time.monotonic()."""
    trace: Span | None
    """Of the sending, whose context goes with the job."""


class _Sent(NamedTuple):
    job: _Unsent
    entry: bytes
    ahead: int
    """Jobs in the stream when it was added."""
    at: float


class JobSender:
    """Keeps every job that has no reply yet: unsent, or sent with its entry in Redis."""

    def __init__(self, redis: Any, pending: PendingReplies, *, max_jobs: int) -> None:
        """max_jobs: in each stream of jobs, of all gateways together."""
        self._redis = redis
        self._pending = pending
        self._max_jobs = max_jobs
        self._unsent: dict[str, _Unsent] = {}
        self._sent: dict[str, _Sent] = {}
        self._withdrawn: list[tuple[str, bytes]] = []
        self._changed = asyncio.Event()
        self._waits = WaitEstimate()  # of clips: live jobs have flow control
        self.round_trip_s = 0.0
        """A recent shortest round trip to Redis."""

    def __len__(self) -> int:
        return len(self._unsent) + len(self._sent)

    def send(
        self, job_id: str, key: str, data: bytes, *, deadline: float, trace: Span | None = None
    ) -> None:
        """Send a job with the next batch. trace: ends once Redis has it."""
        self._unsent[job_id] = _Unsent(key, data, deadline, trace)
        self._changed.set()

    def forget(self, job_id: str, *, withdraw: bool) -> None:
        """Stop keeping a job; `withdraw` removes it from Redis as well."""
        self._unsent.pop(job_id, None)
        sent = self._sent.pop(job_id, None)
        if sent is None:
            return
        now = time.monotonic()
        if sent.job.key == CLIP_JOBS and (not withdraw or now >= sent.job.deadline):
            self._waits.record(ahead=sent.ahead, wait_s=now - sent.at)
        if withdraw:
            self._withdrawn.append((sent.job.key, sent.entry))
            self._changed.set()

    async def step(self) -> None:
        """Wait for a change, then send all that has gathered in one round trip."""
        await self._changed.wait()
        self._changed.clear()
        jobs, self._unsent = self._unsent, {}
        withdrawn, self._withdrawn = self._withdrawn, []
        batches = [
            (key, batch)
            for key in JOB_STREAMS
            if (batch := {job_id: job for job_id, job in jobs.items() if job.key == key})
        ]
        begin = time.monotonic()
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, batch in batches:
                    pipe.eval(ADD, 1, key, *self._arguments(batch.values(), now=begin))
                for key, entry in withdrawn:
                    pipe.xack(key, GROUP, entry)
                    pipe.xdel(key, entry)
                results = await pipe.execute(raise_on_error=False)
        except REDIS_ERRORS:
            self._reject(jobs, Busy(UNUSABLE))
            raise
        took_s = time.monotonic() - begin
        self.round_trip_s = min(took_s, SLOWER * self.round_trip_s or took_s)
        for (_, batch), result in zip(batches, results, strict=False):
            self._record(batch, result, at=begin)
        for result in results[: len(batches)]:
            if isinstance(result, Exception):
                raise result

    def _arguments(self, jobs: Iterable[_Unsent], *, now: float) -> Iterator[int | bytes | str]:
        """Yield for each job the length at which it is rejected, its bytes and its traceparent."""
        for job in jobs:
            limit = self._max_jobs
            if job.key == CLIP_JOBS:
                ahead = self._waits.most_ahead(job.deadline - now)
                limit = limit if ahead is None else min(limit, ahead + 1)
            yield limit
            yield job.data
            yield "" if job.trace is None else job.trace.context.traceparent

    def _record(self, batch: dict[str, _Unsent], result: Any, *, at: float) -> None:
        """Keep the entry of each job that was added; reject the others."""
        if isinstance(result, Exception):
            self._reject(batch, Busy(UNUSABLE))
            return
        for (job_id, job), (ahead, entry) in zip(batch.items(), result, strict=True):
            if entry is None:
                self._reject([job_id], self._full(job, ahead))
            elif job_id in self._pending:
                self._sent[job_id] = _Sent(job, entry, ahead, at)
                if job.trace is not None:
                    job.trace.end = time.monotonic()
                    job.trace.attributes["messaging.message.id"] = entry.decode()
            else:
                # It was cancelled during the round trip, when its entry was not known yet.
                self._withdrawn.append((job.key, entry))
                self._changed.set()

    def _full(self, job: _Unsent, ahead: int) -> Busy:
        """Return the error of a job that was rejected with so many jobs before it."""
        if ahead >= self._max_jobs:
            return queue_full(ahead)
        wait_s, left_s = self._waits.seconds(ahead), job.deadline - time.monotonic()
        return wait_too_long(f"{ahead} jobs are pending", wait_s=wait_s, left_s=left_s)

    async def resend_missing(self) -> None:
        """Send again what is in no stream: Redis restarted empty, or an older replica took over.

        A job that was answered meanwhile runs twice; the second reply is dropped.
        """
        for key in JOB_STREAMS:
            jobs = {
                sent.entry: job_id for job_id, sent in self._sent.items() if sent.job.key == key
            }
            for entry in await self._redis.eval(MISSING, 1, key, *jobs) if jobs else ():
                if sent := self._sent.pop(jobs[entry], None):
                    self._unsent[jobs[entry]] = sent.job
        self._changed.set()

    def _reject(self, job_ids: Iterable[str], error: Busy) -> None:
        for job_id in job_ids:
            self._pending.resolve(Reply(job_id, error, 0.0))
