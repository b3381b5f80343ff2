"""Pending jobs, workers and dead letters of the queue in Redis, for `timbre queue`."""

from __future__ import annotations

from typing import Any

from common.errors import InputError
from service.queue.codec import decode_job
from service.queue.redis_connection import close, connect, heartbeats_of, read_heartbeats
from service.queue.redis_keys import CLIP_JOBS, DEAD_LETTERS, GROUP, LIVE_JOBS, WORKERS
from service.queue.redis_values import entry_seconds, read_items, report_invalid

KINDS = {"live": LIVE_JOBS, "clips": CLIP_JOBS}
PAGE = 100
"""Dead letters read at one time: each may contain a picture."""
MAX_SHOWN = 1_000
"""Bytes of one field of a dead letter."""


async def status(url: str) -> dict[str, Any]:
    """Return pending and claimed jobs by kind, workers, and the number of dead letters."""
    redis = connect(url)
    try:
        async with redis.pipeline(transaction=False) as pipe:
            read_heartbeats(pipe)
            pipe.xlen(DEAD_LETTERS)
            for key in KINDS.values():
                pipe.xlen(key)
                pipe.xrange(key, count=1)
                pipe.xinfo_consumers(key, GROUP)
            clock, registered, letters, *streams = await pipe.execute(raise_on_error=False)
    finally:
        await close(redis)
    if isinstance(clock, Exception):
        raise clock
    now, heartbeats = heartbeats_of(clock, _result(WORKERS, registered, []))
    workers = {
        name: {"name": name, "seen_s": round(max(0.0, now - last), 3), "held": 0}
        for name, last in sorted(heartbeats.items())
    }
    jobs = {
        kind: _jobs(key, *streams[3 * at : 3 * at + 3], workers=workers, now=now)
        for at, (kind, key) in enumerate(KINDS.items())
    }
    dead_letters = _result(DEAD_LETTERS, letters, 0)
    return {"jobs": jobs, "workers": list(workers.values()), "dead": dead_letters}


def _jobs(
    key: str, length: Any, oldest: Any, consumers: Any, *, workers: dict[str, Any], now: float
) -> dict[str, Any]:
    """Return the counts of one stream of jobs; add claimed jobs to their workers."""
    held = 0
    for consumer in _result(key, consumers, []):
        held += consumer["pending"]
        name = consumer["name"].decode(errors="backslashreplace")
        if consumer["pending"]:
            # A worker with claims that is not registered was killed; its jobs are being reclaimed.
            worker = workers.setdefault(name, {"name": name, "seen_s": None, "held": 0})
            worker["held"] += consumer["pending"]
    entries = [entry for entry, _ in _result(key, oldest, [])]
    since = read_items(key, entries, entry_seconds)
    return {
        "waiting": max(0, _result(key, length, 0) - held),
        "held": held,
        "oldest_s": round(max(0.0, now - since[0]), 3) if since else 0.0,
    }


def _result(key: str, result: Any, default: Any) -> Any:
    """Return the result of a command; `default` without its key, or with one of another type."""
    if not isinstance(result, Exception):
        return result
    reason = str(result)
    if "WRONGTYPE" in reason:
        report_invalid(key, why=reason)
    elif "no such key" not in reason and "NOGROUP" not in reason:
        raise result
    return default


async def dead(url: str) -> list[dict[str, Any]]:
    """Return the dead letters, newest first."""
    redis = connect(url)
    letters: list[dict[str, Any]] = []
    last = b"+"
    try:
        while True:
            async with redis.pipeline(transaction=False) as pipe:
                pipe.xrevrange(DEAD_LETTERS, last, count=PAGE)
                (found,) = await pipe.execute(raise_on_error=False)
            entries = _result(DEAD_LETTERS, found, [])
            letters += read_items(DEAD_LETTERS, entries, _letter)
            if len(entries) < PAGE:
                return letters
            last = b"(" + entries[-1][0]
    finally:
        await close(redis)


async def clear(url: str) -> int:
    """Delete the dead letters; return how many there were."""
    redis = connect(url)
    try:
        async with redis.pipeline(transaction=True) as pipe:
            pipe.xlen(DEAD_LETTERS)
            pipe.unlink(DEAD_LETTERS)
            count, _ = await pipe.execute(raise_on_error=False)
        number: int = _result(DEAD_LETTERS, count, 0)
        return number
    finally:
        await close(redis)


def _letter(entry: tuple[bytes, dict[bytes, bytes]]) -> dict[str, Any]:
    ident, fields = entry
    letter: dict[str, Any] = {
        name: fields.get(name.encode(), b"")[:MAX_SHOWN].decode(errors="backslashreplace")
        for name in ("why", "stream", "worker")
    }
    letter["at"] = entry_seconds(ident)
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
