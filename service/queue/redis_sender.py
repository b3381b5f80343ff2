"""Sends jobs to Redis in batches; withdraws cancelled ones, resends those that Redis lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from common.errors import Busy
from service.queue.base import Reply, queue_full
from service.queue.pending import PendingReplies
from service.queue.redis_connection import REDIS_ERRORS
from service.queue.redis_keys import GROUP, JOB_STREAMS

UNUSABLE = "the queue is unavailable"
"""What clients get; the reason stands in the log."""
ADD = """
local room, ids = tonumber(ARGV[1]) - redis.call('XLEN', KEYS[1]), {}
for i = 2, #ARGV do
    ids[i - 1] = i - 1 <= room and redis.call('XADD', KEYS[1], '*', 'job', ARGV[i])
end
return ids
"""
"""Adds jobs while there is room; returns their entries' ids, null for rejected ones."""
MISSING = """
local missing = {}
for _, id in ipairs(ARGV) do
    if #redis.call('XRANGE', KEYS[1], id, id) == 0 then missing[#missing + 1] = id end
end
return missing
"""
"""Returns those of the given entries that do not exist."""


class _Sent(NamedTuple):
    key: str
    """Of the stream of jobs."""
    entry: bytes
    data: bytes


class JobSender:
    """Keeps every job that has no reply yet: unsent, or sent with its entry in Redis."""

    def __init__(self, redis: Any, pending: PendingReplies, *, max_jobs: int) -> None:
        """max_jobs: in each stream of jobs, of all gateways together."""
        self._redis = redis
        self._pending = pending
        self._max_jobs = max_jobs
        self._unsent: dict[str, tuple[str, bytes]] = {}  # job: key, bytes
        self._sent: dict[str, _Sent] = {}
        self._withdrawn: list[tuple[str, bytes]] = []
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._unsent) + len(self._sent)

    def send(self, job_id: str, key: str, data: bytes) -> None:
        """Send a job with the next batch."""
        self._unsent[job_id] = (key, data)
        self._changed.set()

    def forget(self, job_id: str, *, withdraw: bool) -> None:
        """Stop keeping a job; `withdraw` removes it from Redis as well."""
        self._unsent.pop(job_id, None)
        sent = self._sent.pop(job_id, None)
        if sent and withdraw:
            self._withdrawn.append((sent.key, sent.entry))
            self._changed.set()

    async def step(self) -> None:
        """Wait for a change, then send all that has gathered in one round trip."""
        await self._changed.wait()
        self._changed.clear()
        jobs, self._unsent = self._unsent, {}
        withdrawn, self._withdrawn = self._withdrawn, []
        batches = {
            key: {job_id: data for job_id, (its_key, data) in jobs.items() if its_key == key}
            for key in JOB_STREAMS
        }
        batches = {key: batch for key, batch in batches.items() if batch}
        try:
            async with self._redis.pipeline(transaction=False) as pipe:
                for key, batch in batches.items():
                    pipe.eval(ADD, 1, key, self._max_jobs, *batch.values())
                for key, entry in withdrawn:
                    pipe.xack(key, GROUP, entry)
                    pipe.xdel(key, entry)
                results = await pipe.execute(raise_on_error=False)
        except REDIS_ERRORS:
            self._reject(jobs, UNUSABLE)
            raise
        for (key, batch), result in zip(batches.items(), results, strict=False):
            self._record(key, batch, result)
        for result in results[: len(batches)]:
            if isinstance(result, Exception):
                raise result

    def _record(self, key: str, batch: dict[str, bytes], result: Any) -> None:
        """Keep the entry of each job that was added; reject the others."""
        if isinstance(result, Exception):
            self._reject(batch, UNUSABLE)
            return
        for (job_id, data), entry in zip(batch.items(), result, strict=True):
            if entry is None:
                self._reject([job_id], str(queue_full(self._max_jobs)))
            elif job_id in self._pending:
                self._sent[job_id] = _Sent(key, entry, data)
            else:
                # It was cancelled during the round trip, when its entry was not known yet.
                self._withdrawn.append((key, entry))
                self._changed.set()

    async def resend_missing(self) -> None:
        """Send again what is in no stream: Redis restarted empty, or an older replica took over.

        A job that was answered meanwhile runs twice; the second reply is dropped.
        """
        for key in JOB_STREAMS:
            jobs = {sent.entry: job_id for job_id, sent in self._sent.items() if sent.key == key}
            for entry in await self._redis.eval(MISSING, 1, key, *jobs) if jobs else ():
                if sent := self._sent.pop(jobs[entry], None):
                    self._unsent[jobs[entry]] = (key, sent.data)
        self._changed.set()

    def _reject(self, job_ids: Iterable[str], why: str) -> None:
        for job_id in job_ids:
            self._pending.resolve(Reply(job_id, Busy(why), 0.0))
