"""Pending jobs, workers and dead letters of the queue in Redis, for `timbre queue`."""

from __future__ import annotations

from typing import Any

from common.errors import InputError
from service.queue.codec import decode_job
from service.queue.redis_connection import close, connect, create_streams, heartbeat_ages
from service.queue.redis_keys import CLIP_JOBS, DEAD_LETTERS, GROUP, LIVE_JOBS


async def status(url: str) -> dict[str, Any]:
    """Return pending and claimed jobs by kind, workers, and the number of dead letters."""
    redis = connect(url)
    try:
        await create_streams(redis)
        seconds, microseconds = await redis.time()
        now = seconds + microseconds / 1e6
        ages = await heartbeat_ages(redis)
        workers = {
            name: {"name": name, "seen_s": round(age, 3), "held": 0}
            for name, age in sorted(ages.items())
        }
        jobs = {
            kind: await _jobs(redis, key, workers, now=now)
            for kind, key in {"live": LIVE_JOBS, "clips": CLIP_JOBS}.items()
        }
        letters = await redis.xlen(DEAD_LETTERS)
        return {"jobs": jobs, "workers": list(workers.values()), "dead": letters}
    finally:
        await close(redis)


async def _jobs(
    redis: Any, key: str, workers: dict[str, dict[str, Any]], *, now: float
) -> dict[str, Any]:
    """Return the counts of one stream of jobs; add claimed jobs to their workers."""
    held = 0
    for consumer in await redis.xinfo_consumers(key, GROUP):
        held += consumer["pending"]
        name = consumer["name"].decode()
        if consumer["pending"]:
            # A worker with claims that is not registered was killed; its jobs are being reclaimed.
            worker = workers.setdefault(name, {"name": name, "seen_s": None, "held": 0})
            worker["held"] += consumer["pending"]
    oldest = await redis.xrange(key, count=1)
    age = now - int(oldest[0][0].split(b"-")[0]) / 1e3 if oldest else 0.0
    return {
        "waiting": max(0, await redis.xlen(key) - held),
        "held": held,
        "oldest_s": round(max(0.0, age), 3),
    }


async def dead(url: str) -> list[dict[str, Any]]:
    """Return the dead letters, newest first."""
    redis = connect(url)
    try:
        return [_letter(entry, fields) for entry, fields in await redis.xrevrange(DEAD_LETTERS)]
    finally:
        await close(redis)


async def clear(url: str) -> int:
    """Delete the dead letters; return how many there were."""
    redis = connect(url)
    try:
        entries = [entry for entry, _ in await redis.xrange(DEAD_LETTERS)]
        if entries:
            await redis.xdel(DEAD_LETTERS, *entries)
        return len(entries)
    finally:
        await close(redis)


def _letter(entry: bytes, fields: dict[bytes, bytes]) -> dict[str, Any]:
    letter: dict[str, Any] = {
        name: fields.get(name.encode(), b"").decode() for name in ("why", "stream", "worker")
    }
    letter["at"] = int(entry.split(b"-")[0]) / 1e3
    try:
        job, _ = decode_job(fields.get(b"job", b""), since=0.0)
    except InputError:
        return letter | {"job": "not a job", "model": "", "version": "", "shape": []}
    return letter | {
        "job": job.id,
        "model": job.model,
        "version": job.version,
        "shape": list(job.tensor.shape),
    }
