"""The worker's side of the queue in Redis: claim, complete, reclaim, dead-letter."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from common.errors import Failed, InputError
from service.log import log
from service.queue.base import ClaimedJob, Maintenance, Reply
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
    REQUESTED,
    WORKERS,
)
from service.queue.redis_values import remove_wrong_types, report_invalid, report_removed
from service.queue.redis_versions import read_requested, report_versions, requested_of
from service.tracing.spans import LONGEST_TRACEPARENT, read_traceparent, trace_details

MAX_ATTEMPTS = 3
"""Workers that a job may be claimed by before it goes to the dead letters."""
MAX_REPLIES = 10_000
"""Entries kept for a gateway that does not read."""
REPLIES_MS = 60_000
"""How long the replies to a gateway that does not read are kept."""
MAX_DEAD_LETTERS = 1_000
MAX_LETTER_BYTES = 2**20
"""Of an invalid job, kept with its dead letter."""
MAX_UNREGISTERED = 100
"""Dead workers unregistered at one time."""
CLOCK_STEP_S = 1.0
"""A larger change of Redis' clock against ours between two heartbeats means that it was set."""
CLOCK_DISTRUST_S = 60.0
"""How long entries' times are not used after Redis' clock was set."""
RECLAIM = """
for _, key in ipairs(KEYS) do
    local cursor = '0-0'
    repeat
        local found = redis.call(
            'XAUTOCLAIM', key, ARGV[1], ARGV[2], ARGV[3], cursor, 'COUNT', 1)
        cursor = found[1]
        for _, entry in ipairs(found[2]) do
            -- Redis 6.2 returns no fields for a job that was withdrawn.
            if entry and entry[2] then
                local claim = redis.call('XPENDING', key, ARGV[1], entry[1], entry[1], 1)[1]
                return {key, entry[1], entry[2], claim and claim[4] or 1}
            end
        end
    until cursor == '0-0'
end
"""
"""Claims one job without heartbeats; returns key, entry, fields and how often it was claimed."""
UNREGISTER = """
for _, name in ipairs(ARGV) do
    redis.call('ZREM', KEYS[1], name)
    redis.call('HDEL', KEYS[2], name)
    for i = 3, #KEYS do
        -- A consumer that is deleted takes its claims along, and they would never be reclaimed.
        if #redis.call('XPENDING', KEYS[i], '%s', '-', '+', 1, name) == 0 then
            redis.call('XGROUP', 'DELCONSUMER', KEYS[i], '%s', name)
        end
    end
end
""".replace("%s", GROUP)
TRACE = b"trace"
"""Field beside `job`: a W3C traceparent. A worker that does not know it ignores it."""
Fields: TypeAlias = dict[bytes, bytes]


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
        return await self._decode(
            [
                (Receipt(key, entry), fields)
                for key in JOB_STREAMS
                for entry, fields in entries.get(key, ())
            ]
        )

    async def complete(self, claimed: Collection[ClaimedJob], replies: Iterable[Reply]) -> None:
        """Send the replies, acknowledge and delete the jobs, all or nothing."""
        payloads = defaultdict(list)
        gateways = {claim.job.id: claim.reply_to for claim in claimed}
        for reply in replies:
            payloads[gateways[reply.job_id]].append(encode_reply(reply))
        async with self._redis.pipeline(transaction=True) as pipe:
            for gateway, parts in payloads.items():
                _add_replies(pipe, gateway, parts)
            for key, entries in _by_key(claimed).items():
                pipe.xack(key, GROUP, *entries)
                pipe.xdel(key, *entries)
            results = await pipe.execute(raise_on_error=False)
        sent, removed = results[: 2 * len(payloads) : 2], results[2 * len(payloads) :]
        for gateway, result in zip(payloads, sent, strict=True):
            if isinstance(result, Exception):
                await self._send_again(gateway, payloads[gateway], why=str(result))
        for result in removed:
            if isinstance(result, Exception):
                raise result

    async def _send_again(self, gateway: str, parts: list[bytes], *, why: str) -> None:
        """Send replies once more, in place of a key that takes none: its type or ids are wrong."""
        report_invalid(REPLIES, why=f"{REPLIES}{gateway}: {why}; it is replaced")
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.unlink(REPLIES + gateway)
            _add_replies(pipe, gateway, parts)
            await pipe.execute()

    async def heartbeat(self, claimed: Iterable[ClaimedJob]) -> None:
        """Record that this worker is alive, and extend its claims."""
        async with self._redis.pipeline(transaction=False) as pipe:
            self._add_heartbeat(pipe)
            for key, entries in _by_key(claimed).items():
                # JUSTID: to extend a claim is not another attempt.
                pipe.xclaim(key, GROUP, self.name, 0, entries, justid=True)
            self._read_clock((await pipe.execute())[0])

    async def maintain(self, loaded: Iterable[str]) -> Maintenance:
        """Send a heartbeat and all else in one round trip; another for each dead worker."""
        async with self._redis.pipeline(transaction=False) as pipe:
            remove_wrong_types(pipe, (WORKERS, LOADED, REQUESTED))
            self._add_heartbeat(pipe)
            report_versions(pipe, self.name, loaded)
            read_requested(pipe)
            self._find_lost(pipe)
            # Neither is a live worker's: long past, and far in the future.
            now = time.monotonic() + self._clock_offset
            pipe.zrangebyscore(WORKERS, "-inf", now - UNREGISTER_AFTER_S, 0, MAX_UNREGISTERED)
            pipe.zrangebyscore(WORKERS, now + UNREGISTER_AFTER_S, "+inf", 0, MAX_UNREGISTERED)
            removed, clock, _, _, requested, found, *dead = await pipe.execute()
        report_removed(removed)
        self._read_clock(clock)
        if not self._clock_is_distrusted():
            await self._unregister(*itertools.chain(*dead))
        claimed = (await self._accept(*found) or await self.reclaim()) if found else None
        return Maintenance(requested_of(requested), claimed)

    async def reclaim(self) -> ClaimedJob | None:
        """Claim one job of a worker that died; jobs claimed too often go to the dead letters."""
        while found := await self._find_lost(self._redis):
            if claimed := await self._accept(*found):
                return claimed
        return None

    async def close(self) -> None:
        """Unregister this worker. Its claimed jobs are reclaimed by others."""
        with suppress(*REDIS_ERRORS):
            async with asyncio.timeout(CLOSE_S):
                await self._unregister(self.name)
        await close(self._redis)

    async def _unregister(self, *names: str | bytes) -> None:
        if names:
            await self._redis.eval(UNREGISTER, 4, WORKERS, LOADED, *JOB_STREAMS, *names)

    def _add_heartbeat(self, pipe: Any) -> None:
        """Add two commands; the result of the first is for `_read_clock`."""
        pipe.time()
        pipe.zadd(WORKERS, {self.name: time.monotonic() + self._clock_offset})

    def _find_lost(self, redis: Any) -> Any:
        """Claim a job of a worker that died, or add that to a pipeline; see `_accept`."""
        return redis.eval(RECLAIM, len(JOB_STREAMS), *JOB_STREAMS, GROUP, self.name, RECLAIM_MS)

    def _read_clock(self, now: tuple[int, int], *, first: bool = False) -> None:
        offset = now[0] + now[1] / 1e6 - time.monotonic()
        if not first and abs(offset - self._clock_offset) > CLOCK_STEP_S:
            log("Redis clock changed", by_s=offset - self._clock_offset)
            self._clock_distrusted_until = time.monotonic() + CLOCK_DISTRUST_S
        self._clock_offset = offset

    def _clock_is_distrusted(self) -> bool:
        return time.monotonic() < self._clock_distrusted_until

    async def _accept(
        self, key: bytes, entry: bytes, pairs: list[bytes], attempts: int
    ) -> ClaimedJob | None:
        """Return a reclaimed job, None when it went to the dead letters."""
        receipt = Receipt(key.decode(), entry)
        fields = dict(zip(pairs[::2], pairs[1::2], strict=True))
        if not (decoded := await self._decode([(receipt, fields)])):
            return None
        (claimed,) = decoded
        job = claimed.job
        traced = trace_details(read_traceparent(claimed.traceparent))
        log("job reclaimed", job=job.id, model=job.model, attempt=attempts, **traced)
        if attempts <= MAX_ATTEMPTS:
            return claimed
        why = f"{attempts - 1} workers died while running it"
        log("job dead-lettered", job=job.id, entry=entry.decode(), why=why, **traced)
        await self._dead_letter([(receipt, fields, why)], remove=False)
        await self.complete([claimed], [Reply(job.id, Failed(f"job {job.id}: {why}"), 0.0)])
        return None

    async def _decode(self, entries: Iterable[tuple[Receipt, Fields]]) -> list[ClaimedJob]:
        """Return the jobs of entries; the invalid ones go to the dead letters."""
        now, claimed, letters = time.monotonic(), [], []
        for receipt, fields in entries:
            # Entries carry the time of Redis' clock, which may have been set back.
            since = (
                now
                if self._clock_is_distrusted()
                else min(now, int(receipt.entry.split(b"-")[0]) / 1e3 - self._clock_offset)
            )
            try:
                job, reply_to = decode_job(fields.get(b"job", b""), since=since)
                traceparent = fields.get(TRACE, b"")[:LONGEST_TRACEPARENT].decode(
                    "ascii", "replace"
                )
                claimed.append(ClaimedJob(job, reply_to, receipt, traceparent))
            except InputError as error:
                letters.append((receipt, fields, str(error)))
                report_invalid(receipt.key, why=str(error))
        if letters:
            await self._dead_letter(letters, remove=True)
        return claimed

    async def _dead_letter(
        self, letters: Iterable[tuple[Receipt, Fields, str]], *, remove: bool
    ) -> None:
        """Keep jobs that are given up; remove: from their stream."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for (key, entry), fields, why in letters:
                letter = {
                    "job": fields.get(b"job", b"")[:MAX_LETTER_BYTES],
                    "stream": key,
                    "entry": entry,
                    "worker": self.name,
                    "why": why,
                }
                pipe.xadd(DEAD_LETTERS, letter, maxlen=MAX_DEAD_LETTERS, approximate=True)
                if remove:
                    pipe.xack(key, GROUP, entry)
                    pipe.xdel(key, entry)
            results = await pipe.execute(raise_on_error=False)
        for result in results:
            if isinstance(result, Exception):
                # To give a job up must not depend on a list that takes no entries.
                report_invalid(DEAD_LETTERS, why=f"a dead letter could not be kept: {result}")


def _add_replies(pipe: Any, gateway: str, parts: Iterable[bytes]) -> None:
    """Add two commands."""
    replies = {"answers": b"".join(parts)}
    pipe.xadd(REPLIES + gateway, replies, maxlen=MAX_REPLIES, approximate=True)
    pipe.pexpire(REPLIES + gateway, REPLIES_MS)


def _by_key(claimed: Iterable[ClaimedJob]) -> dict[str, list[bytes]]:
    entries = defaultdict(list)
    for claim in claimed:
        receipt: Receipt = claim.receipt
        entries[receipt.key].append(receipt.entry)
    return entries
