"""The worker's side of the queue in Redis: claim, complete, reclaim, dead-letter."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from common.errors import Failed, InputError
from service.log import log
from service.queue.base import ClaimedJob, Reply
from service.queue.codec import decode_job, encode_reply
from service.queue.liveness import RECLAIM_MS, UNREGISTER_AFTER_S
from service.queue.redis_connection import CLOSE_S, REDIS_ERRORS, close, connect, create_streams
from service.queue.redis_keys import (
    CLIP_JOBS,
    DEAD_LETTERS,
    GROUP,
    JOB_STREAMS,
    LIVE_JOBS,
    LOADED,
    REPLIES,
    WORKERS,
)
from service.queue.redis_versions import report_versions, requested_versions

MAX_ATTEMPTS = 3
"""Workers that a job may be claimed by before it goes to the dead letters."""
MAX_REPLIES = 10_000
"""Entries kept for a gateway that does not read."""
REPLIES_MS = 60_000
"""How long the replies to a gateway that does not read are kept."""
MAX_DEAD_LETTERS = 1_000
CLOCK_STEP_S = 1.0
"""A larger change of Redis' clock against ours between two heartbeats means that it was set."""
CLOCK_DISTRUST_S = 60.0
"""How long entries' times are not used after Redis' clock was set."""


class Receipt(NamedTuple):
    """Where a claimed job lies."""

    key: str
    """Of the stream of jobs."""
    entry: bytes


class RedisConsumer:
    """The `JobConsumer` of a worker; its methods raise `connection_errors`."""

    connection_errors: tuple[type[Exception], ...] = REDIS_ERRORS

    def __init__(self, url: str, *, name: str) -> None:
        """name: of this worker, unique among all."""
        self.name = name
        self._redis = connect(url)
        self._clock_offset = 0.0
        """Redis' clock less ours, seconds."""
        self._clock_distrusted_until = 0.0
        self._live_only = False
        """Whether the last claim left live jobs behind, so that the next takes no clips."""

    async def open(self) -> None:
        """Create the streams and send the first heartbeat. Safe to call again."""
        await create_streams(self._redis)
        self._read_clock(await self._redis.time(), first=True)
        await self.heartbeat([])

    async def claim(self, count: int, *, wait_s: float) -> list[ClaimedJob]:
        """Return up to `count` live jobs, then up to `count` clips; wait for the first."""
        batches = (
            await self._redis.xreadgroup(GROUP, self.name, {LIVE_JOBS: ">"}, count=count)
            if self._live_only
            else None
        )
        if not batches:
            wait_ms = max(1, round(1e3 * wait_s)) if wait_s else None
            batches = await self._redis.xreadgroup(
                GROUP, self.name, {LIVE_JOBS: ">", CLIP_JOBS: ">"}, count=count, block=wait_ms
            )
        entries = {key.decode(): batch for key, batch in batches or []}
        self._live_only = len(entries.get(LIVE_JOBS, ())) >= count
        return [
            claimed
            for key in JOB_STREAMS
            for entry, fields in entries.get(key, ())
            if (claimed := await self._decode(Receipt(key, entry), fields))
        ]

    async def complete(self, claimed: Collection[ClaimedJob], replies: Iterable[Reply]) -> None:
        """Send the replies, acknowledge and delete the jobs, all or nothing."""
        payloads = defaultdict(list)
        gateways = {claim.job.id: claim.reply_to for claim in claimed}
        for reply in replies:
            payloads[gateways[reply.job_id]].append(encode_reply(reply))
        async with self._redis.pipeline(transaction=True) as pipe:
            for gateway, parts in payloads.items():
                pipe.xadd(
                    REPLIES + gateway,
                    {"answers": b"".join(parts)},
                    maxlen=MAX_REPLIES,
                    approximate=True,
                )
                pipe.pexpire(REPLIES + gateway, REPLIES_MS)
            for key, entries in _by_key(claimed).items():
                pipe.xack(key, GROUP, *entries)
                pipe.xdel(key, *entries)
            await pipe.execute()

    async def heartbeat(self, claimed: Iterable[ClaimedJob]) -> None:
        """Record that this worker is alive, and extend its claims."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zadd(WORKERS, {self.name: time.monotonic() + self._clock_offset})
            for key, entries in _by_key(claimed).items():
                # JUSTID: to extend a claim is not another attempt.
                pipe.xclaim(key, GROUP, self.name, 0, entries, justid=True)
            self._read_clock((await pipe.execute())[0])

    async def requested_versions(self, loaded: Iterable[str]) -> set[str]:
        """Report the versions this worker has loaded; return those that gateways request."""
        await report_versions(self._redis, self.name, loaded)
        return await requested_versions(self._redis)

    async def reclaim(self) -> ClaimedJob | None:
        """Claim one job of a worker that died; jobs claimed too often go to the dead letters."""
        for key in JOB_STREAMS:
            cursor: Any = "0-0"
            while cursor != b"0-0":
                cursor, entries, *_ = await self._redis.xautoclaim(
                    key, GROUP, self.name, RECLAIM_MS, start_id=cursor, count=1
                )
                for entry, fields in entries:
                    # Redis 6.2 returns no fields for a job that was withdrawn.
                    if fields and (claimed := await self._retry(Receipt(key, entry), fields)):
                        return claimed
        return None

    async def remove_dead_workers(self) -> None:
        """Unregister workers that have sent no heartbeat for `UNREGISTER_AFTER_S`."""
        if self._clock_is_distrusted():
            return
        before = time.monotonic() + self._clock_offset - UNREGISTER_AFTER_S
        for name in await self._redis.zrangebyscore(WORKERS, "-inf", before):
            await self._unregister(name)

    async def close(self) -> None:
        """Unregister this worker. Its claimed jobs are reclaimed by others."""
        with suppress(*REDIS_ERRORS):
            async with asyncio.timeout(CLOSE_S):
                await self._unregister(self.name)
        await close(self._redis)

    async def _unregister(self, name: str | bytes) -> None:
        await self._redis.zrem(WORKERS, name)
        await self._redis.hdel(LOADED, name)
        for key in JOB_STREAMS:
            # A consumer that is deleted takes its claims along, and they would never be reclaimed.
            if not await self._redis.xpending_range(key, GROUP, "-", "+", 1, consumername=name):
                await self._redis.xgroup_delconsumer(key, GROUP, name)

    def _read_clock(self, now: tuple[int, int], *, first: bool = False) -> None:
        offset = now[0] + now[1] / 1e6 - time.monotonic()
        if not first and abs(offset - self._clock_offset) > CLOCK_STEP_S:
            log("Redis clock changed", by_s=offset - self._clock_offset)
            self._clock_distrusted_until = time.monotonic() + CLOCK_DISTRUST_S
        self._clock_offset = offset

    def _clock_is_distrusted(self) -> bool:
        return time.monotonic() < self._clock_distrusted_until

    async def _retry(self, receipt: Receipt, fields: dict[bytes, bytes]) -> ClaimedJob | None:
        """Return a reclaimed job, None when it went to the dead letters."""
        entry = receipt.entry
        pending = await self._redis.xpending_range(receipt.key, GROUP, entry, entry, 1)
        attempts = pending[0]["times_delivered"] if pending else 1
        if not (claimed := await self._decode(receipt, fields)):
            return None
        job = claimed.job
        log("job reclaimed", job=job.id, model=job.model, attempt=attempts)
        if attempts <= MAX_ATTEMPTS:
            return claimed
        why = f"{attempts - 1} workers died while running it"
        await self._dead_letter(receipt, fields, why=why)
        await self.complete([claimed], [Reply(job.id, Failed(f"job {job.id}: {why}"), 0.0)])
        return None

    async def _decode(self, receipt: Receipt, fields: dict[bytes, bytes]) -> ClaimedJob | None:
        """Return the job of an entry, None when it is invalid and went to the dead letters."""
        now = time.monotonic()
        # Entries carry the time of Redis' clock, which may have been set back.
        since = (
            now
            if self._clock_is_distrusted()
            else min(now, int(receipt.entry.split(b"-")[0]) / 1e3 - self._clock_offset)
        )
        try:
            job, reply_to = decode_job(fields.get(b"job", b""), since=since)
        except InputError as error:
            await self._dead_letter(receipt, fields, why=str(error))
            await self._redis.xack(receipt.key, GROUP, receipt.entry)
            await self._redis.xdel(receipt.key, receipt.entry)
            return None
        return ClaimedJob(job, reply_to, receipt)

    async def _dead_letter(self, receipt: Receipt, fields: dict[bytes, bytes], *, why: str) -> None:
        log("job dead-lettered", entry=receipt.entry.decode(), why=why)
        letter = {
            "job": fields.get(b"job", b""),
            "stream": receipt.key,
            "entry": receipt.entry,
            "worker": self.name,
            "why": why,
        }
        await self._redis.xadd(DEAD_LETTERS, letter, maxlen=MAX_DEAD_LETTERS, approximate=True)


def _by_key(claimed: Iterable[ClaimedJob]) -> dict[str, list[bytes]]:
    entries = defaultdict(list)
    for claim in claimed:
        receipt: Receipt = claim.receipt
        entries[receipt.key].append(receipt.entry)
    return entries
