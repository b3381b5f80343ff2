"""What a person wants to know of the queue in Redis: how much waits, who works, what was buried."""

from __future__ import annotations

from typing import Any

from common.errors import InputError
from service.queue.codec import decode_job
from service.queue.redis_connection import CLIPS, DEAD, GROUP, LIVE, close, connect, prepare, seen


async def status(url: str) -> dict[str, Any]:
    """Return jobs waiting and held by kind, the age of the oldest, workers, and the number of dead letters."""
    redis = connect(url)
    try:
        await prepare(redis)
        seconds, microseconds = await redis.time()
        now = seconds + microseconds / 1e6
        ago = await seen(redis)
        workers = {
            name: {"name": name, "seen_s": round(ago[name], 3), "held": 0} for name in sorted(ago)
        }
        lanes = {
            kind: await _lane(redis, stream, workers, now=now)
            for kind, stream in {"live": LIVE, "clips": CLIPS}.items()
        }
        return {"jobs": lanes, "workers": list(workers.values()), "dead": await redis.xlen(DEAD)}
    finally:
        await close(redis)


async def _lane(
    redis: Any, stream: str, workers: dict[str, dict[str, Any]], *, now: float
) -> dict[str, Any]:
    held = 0
    for consumer in await redis.xinfo_consumers(stream, GROUP):
        held += consumer["pending"]
        name = consumer["name"].decode()
        if consumer["pending"]:
            # One that holds jobs but is on no list was killed; its jobs are being taken over.
            workers.setdefault(name, {"name": name, "seen_s": None, "held": 0})["held"] += consumer[
                "pending"
            ]
    oldest = await redis.xrange(stream, count=1)
    age = now - int(oldest[0][0].split(b"-")[0]) / 1e3 if oldest else 0.0
    return {
        "waiting": max(0, await redis.xlen(stream) - held),
        "held": held,
        "oldest_s": round(max(0.0, age), 3),
    }


async def dead(url: str) -> list[dict[str, Any]]:
    """Return the dead letters, newest first."""
    redis = connect(url)
    try:
        return [_letter(entry, fields) for entry, fields in await redis.xrevrange(DEAD)]
    finally:
        await close(redis)


async def clear(url: str) -> int:
    """Forget the dead letters; return how many there were."""
    redis = connect(url)
    try:
        entries = [entry for entry, _ in await redis.xrange(DEAD)]
        if entries:
            await redis.xdel(DEAD, *entries)
        return len(entries)
    finally:
        await close(redis)


def _letter(entry: bytes, fields: dict[bytes, bytes]) -> dict[str, Any]:
    letter: dict[str, Any] = {
        name: fields.get(name.encode(), b"").decode() for name in ("why", "stream", "worker")
    }
    letter["at"] = int(entry.split(b"-")[0]) / 1e3
    try:
        job = decode_job(fields.get(b"job", b""), since=0.0).job
    except InputError:
        return letter | {"job": "not a job", "model": "", "version": "", "shape": []}
    return letter | {
        "job": job.id,
        "model": job.model,
        "version": job.version,
        "shape": list(job.tensor.shape),
    }
