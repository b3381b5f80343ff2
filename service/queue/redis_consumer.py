"""The workers' side of the queue in Redis: jobs are taken, kept, answered, taken over from the dead, and buried."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from common.errors import Failed, InputError
from service.log import log
from service.queue.codec import JobMessage, Reply, decode_job, encode_reply
from service.queue.redis_connection import (
    ANSWERS,
    CLIPS,
    DEAD,
    GROUP,
    HELD,
    LIVE,
    PART_S,
    TROUBLE,
    WORKERS,
    close,
    connect,
    prepare,
)
from service.queue.redis_versions import report_version, requested_versions

BEAT_S = 0.5
"""How often a worker shows that it lives and looks for jobs of the dead."""
SILENCE_MS = 1_500
"""A job whose worker was silent for so long is taken over."""
MAX_ATTEMPTS = 3
MAX_ANSWERS = 10_000
"""Entries kept for a gateway that does not read."""
ANSWERS_LIVE_MS = 60_000
MAX_DEAD = 1_000
GONE_S = 600
"""A worker that was not seen for so long is struck off the list."""
STEP_S = 1.0
"""Redis' clock against ours: what moves by more between two looks was set."""
DOUBT_S = 60.0
"""How long the age of jobs is not taken from Redis' clock once that was set."""


class ClaimedJob(NamedTuple):
    """A job in the hands of this worker."""

    stream: str
    entry: bytes
    order: JobMessage


class RedisConsumer:
    """What one worker does with the queue. Raises TROUBLE when Redis is not there."""

    def __init__(self, url: str, *, name: str) -> None:
        self.name = name
        self._redis = connect(url)
        self._offset = 0.0
        """Redis' clock less ours, seconds."""
        self._doubt_until = 0.0
        self._crowded = False

    async def open(self) -> None:
        """Make ready to take jobs. Safe to call twice, and to be called again when Redis has lost everything."""
        await prepare(self._redis)
        self._set_clock(await self._redis.time(), first=True)
        await self.beat([])

    async def take(self, count: int, *, wait_s: float) -> list[ClaimedJob]:
        """Return up to `count` live jobs, then up to as many clips; wait for the first. Live jobs crowd out clips."""
        found = (
            await self._redis.xreadgroup(GROUP, self.name, {LIVE: ">"}, count=count)
            if self._crowded
            else None
        )
        if not found:
            wait_ms = max(1, round(1e3 * wait_s)) if wait_s else None
            found = await self._redis.xreadgroup(
                GROUP, self.name, {LIVE: ">", CLIPS: ">"}, count=count, block=wait_ms
            )
        entries = {name.decode(): batch for name, batch in found or []}
        self._crowded = len(entries.get(LIVE, ())) >= count
        return [
            delivery
            for stream in (LIVE, CLIPS)
            for entry, fields in entries.get(stream, ())
            if (delivery := await self._read(stream, entry, fields))
        ]

    async def done(self, deliveries: Iterable[ClaimedJob], replies: Iterable[Reply]) -> None:
        """Answer, acknowledge and remove, all or nothing: the streams hold only work still to do."""
        answers = defaultdict(list)
        waiting = {delivery.order.job.id: delivery.order.reply_to for delivery in deliveries}
        for reply in replies:
            answers[waiting[reply.job_id]].append(encode_reply(reply))
        async with self._redis.pipeline(transaction=True) as pipe:
            for gateway, parts in answers.items():
                pipe.xadd(
                    ANSWERS + gateway,
                    {"answers": b"".join(parts)},
                    maxlen=MAX_ANSWERS,
                    approximate=True,
                )
                pipe.pexpire(ANSWERS + gateway, ANSWERS_LIVE_MS)
            for stream, entries in _by_stream(deliveries).items():
                pipe.xack(stream, GROUP, *entries)
                pipe.xdel(stream, *entries)
            await pipe.execute()

    async def beat(self, held: Iterable[ClaimedJob]) -> None:
        """Show that this worker lives and that what it holds is being worked on."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.zadd(WORKERS, {self.name: time.monotonic() + self._offset})
            for stream, entries in _by_stream(held).items():
                # JUSTID: to keep a job is no new attempt.
                pipe.xclaim(stream, GROUP, self.name, 0, entries, justid=True)
            self._set_clock((await pipe.execute())[0])

    async def requested_versions(self, held: Iterable[str]) -> set[str]:
        """Tell which versions this worker has, as NAME:VERSION; return those that gateways want."""
        await report_version(self._redis, self.name, held)
        return await requested_versions(self._redis)

    async def rescue(self) -> ClaimedJob | None:
        """Take over one job of a worker that fell silent. What was tried too often is buried. None: there is none.

        One at a time, and to be run alone: the job that ends its workers must not take others
        along.
        """
        for stream in (LIVE, CLIPS):
            cursor: Any = "0-0"
            while cursor != b"0-0":
                cursor, entries, *_ = await self._redis.xautoclaim(
                    stream, GROUP, self.name, SILENCE_MS, start_id=cursor, count=1
                )
                for entry, fields in entries:
                    # Redis 6.2 gives nothing for one that was withdrawn.
                    if fields and (delivery := await self._try_again(stream, entry, fields)):
                        return delivery
        return None

    async def close(self) -> None:
        """Leave no trace. Jobs this worker still holds are left to be taken over."""
        with suppress(*TROUBLE):
            async with asyncio.timeout(PART_S):
                await self._redis.zrem(WORKERS, self.name)
                await self._redis.hdel(HELD, self.name)
                await self._strike(self.name)
        await close(self._redis)

    async def tidy(self) -> None:
        """Strike workers off the list that are long gone."""
        if self._doubtful():
            return
        before = time.monotonic() + self._offset - GONE_S
        for name in await self._redis.zrangebyscore(WORKERS, "-inf", before):
            await self._redis.zrem(WORKERS, name)
            await self._redis.hdel(HELD, name)
            await self._strike(name)

    def _set_clock(self, told: tuple[int, int], *, first: bool = False) -> None:
        offset = told[0] + told[1] / 1e6 - time.monotonic()
        if not first and abs(offset - self._offset) > STEP_S:
            log("the clock of Redis was set", by_s=offset - self._offset)
            self._doubt_until = time.monotonic() + DOUBT_S
        self._offset = offset

    def _doubtful(self) -> bool:
        return time.monotonic() < self._doubt_until

    async def _strike(self, name: str | bytes) -> None:
        for stream in (LIVE, CLIPS):
            if not await self._redis.xpending_range(stream, GROUP, "-", "+", 1, consumername=name):
                await self._redis.xgroup_delconsumer(stream, GROUP, name)

    async def _try_again(
        self, stream: str, entry: bytes, fields: dict[bytes, bytes]
    ) -> ClaimedJob | None:
        pending = await self._redis.xpending_range(stream, GROUP, entry, entry, 1)
        attempts = pending[0]["times_delivered"] if pending else 1
        if not (delivery := await self._read(stream, entry, fields)):
            return None
        job = delivery.order.job
        log("job taken over", job=job.id, model=job.model, attempt=attempts)
        if attempts <= MAX_ATTEMPTS:
            return delivery
        why = f"{attempts - 1} workers ended while they worked on it"
        await self._bury(stream, entry, fields, why=why)
        await self.done([delivery], [Reply(job.id, Failed(f"job {job.id}: {why}"), 0.0)])
        return None

    async def _read(
        self, stream: str, entry: bytes, fields: dict[bytes, bytes]
    ) -> ClaimedJob | None:
        """Return the job of an entry; one that is none is buried."""
        now = time.monotonic()
        # Entries carry the time of Redis' clock, which may have been set back.
        since = (
            now if self._doubtful() else min(now, int(entry.split(b"-")[0]) / 1e3 - self._offset)
        )
        try:
            return ClaimedJob(stream, entry, decode_job(fields.get(b"job", b""), since=since))
        except InputError as error:
            await self._bury(stream, entry, fields, why=str(error))
            await self._redis.xack(stream, GROUP, entry)
            await self._redis.xdel(stream, entry)
            return None

    async def _bury(
        self, stream: str, entry: bytes, fields: dict[bytes, bytes], *, why: str
    ) -> None:
        log("job buried", entry=entry.decode(), why=why)
        letter = {
            "job": fields.get(b"job", b""),
            "stream": stream,
            "entry": entry,
            "worker": self.name,
            "why": why,
        }
        await self._redis.xadd(DEAD, letter, maxlen=MAX_DEAD, approximate=True)


def _by_stream(deliveries: Iterable[ClaimedJob]) -> dict[str, list[bytes]]:
    entries = defaultdict(list)
    for delivery in deliveries:
        entries[delivery.stream].append(delivery.entry)
    return entries
