"""Model versions requested by gateways and loaded by workers, exchanged through Redis.

A gateway switches to a version once every live worker has it, so no job waits for a model to load.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from typing import Any

from common.errors import ArtefactError, Busy
from models.manifest import NAME, VERSION
from service.queue.liveness import ALIVE_S
from service.queue.redis_connection import REDIS_ERRORS, heartbeats_of, read_heartbeats
from service.queue.redis_keys import LOADED, REQUESTED
from service.queue.redis_values import read_items, text_of

VERSION_ID = re.compile(f"{NAME.pattern}:{VERSION.pattern}")
REQUEST_S = 10.0
"""A request expires when no gateway has repeated it for so long."""
PREPARE_S = 5.0
"""How long workers have to load a version."""
PAUSE_S = 0.05
MAX_REQUESTED = 1_000
REQUEST = """
local now = redis.call('TIME')[1]
for _, name in ipairs(ARGV) do redis.call('ZADD', KEYS[1], now, name) end
"""
READ_REQUESTED = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + ARGV[1], '+inf')
return redis.call('ZREVRANGE', KEYS[1], 0, ARGV[2] - 1)
"""
"""Removes expired requests and those of the future; returns the others."""


def request_versions(redis: Any, names: Iterable[str]) -> Any:
    """Request that workers load these versions, as NAME:VERSION. redis: or a pipeline."""
    return redis.eval(REQUEST, 1, REQUESTED, *names)


def read_requested(redis: Any) -> Any:
    """Read what `requested_of` takes. redis: or a pipeline."""
    return redis.eval(READ_REQUESTED, 1, REQUESTED, REQUEST_S, MAX_REQUESTED)


def requested_of(names: Iterable[bytes]) -> set[str]:
    """Return the versions that gateways request."""
    return set(read_items(REQUESTED, names, _version_id))


def _version_id(raw: bytes) -> str:
    name = text_of(raw)
    if not VERSION_ID.fullmatch(name):
        raise ValueError(f"{name!r} is not NAME:VERSION")
    return name


def report_versions(redis: Any, worker: str, names: Iterable[str]) -> Any:
    """Report what a worker has loaded. redis: or a pipeline."""
    return redis.hset(LOADED, worker, " ".join(sorted(names)))


async def prepare(redis: Any, name: str) -> None:
    """Return once every live worker has loaded a version.

    Raises ArtefactError naming the workers that have not; Busy while Redis is away.
    """
    until = time.monotonic() + PREPARE_S
    try:
        await request_versions(redis, [name])
        while missing := await _workers_without(redis, name):
            if time.monotonic() > until:
                raise ArtefactError(
                    f"{name.replace(':', ' ')}: not loaded by worker {', '.join(missing)}"
                )
            await asyncio.sleep(PAUSE_S)
    except REDIS_ERRORS as error:
        raise Busy("the queue is unavailable") from error


async def _workers_without(redis: Any, name: str) -> list[str]:
    async with redis.pipeline(transaction=False) as pipe:
        read_heartbeats(pipe)
        pipe.hgetall(LOADED)
        *heartbeats, reports = await pipe.execute()
    now, workers = heartbeats_of(*heartbeats)
    loaded = dict(read_items(LOADED, reports.items(), _report))
    # A worker without a report has only just started. A heartbeat of the future is no worker's.
    alive = [worker for worker, last in workers.items() if abs(now - last) < ALIVE_S]
    return sorted(worker for worker in alive if name not in loaded.get(worker, [name]))


def _report(item: tuple[bytes, bytes]) -> tuple[str, list[str]]:
    return text_of(item[0]), item[1].decode().split()
