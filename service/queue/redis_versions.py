"""Model versions requested by gateways and loaded by workers, exchanged through Redis.

A gateway switches to a version once every live worker has it, so no job waits for a model to load.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from typing import Any

from common.errors import ArtefactError
from models.manifest import NAME, VERSION
from service.queue.liveness import ALIVE_S
from service.queue.redis_connection import REDIS_ERRORS, heartbeat_ages
from service.queue.redis_keys import LOADED, REQUESTED

VERSION_ID = re.compile(f"{NAME.pattern}:{VERSION.pattern}")
REQUEST_S = 10.0
"""A request expires when no gateway has repeated it for so long."""
PREPARE_S = 5.0
"""How long workers have to load a version."""
PAUSE_S = 0.05


async def request_versions(redis: Any, names: Iterable[str]) -> None:
    """Request that workers load these versions, as NAME:VERSION."""
    seconds, _ = await redis.time()
    if requests := dict.fromkeys(names, seconds):
        await redis.zadd(REQUESTED, requests)


async def requested_versions(redis: Any) -> set[str]:
    """Return the versions that gateways request."""
    seconds, _ = await redis.time()
    async with redis.pipeline(transaction=False) as pipe:
        pipe.zremrangebyscore(REQUESTED, "-inf", seconds - REQUEST_S)
        pipe.zrange(REQUESTED, 0, -1)
        _, names = await pipe.execute()
    return {name for name in (raw.decode() for raw in names) if VERSION_ID.fullmatch(name)}


async def report_versions(redis: Any, worker: str, names: Iterable[str]) -> None:
    """Report what a worker has loaded."""
    await redis.hset(LOADED, worker, " ".join(sorted(names)))


async def prepare(redis: Any, name: str) -> None:
    """Return once every live worker has loaded a version.

    Raises ArtefactError naming the workers that have not.
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
        raise ArtefactError("the queue is unavailable") from error


async def _workers_without(redis: Any, name: str) -> list[str]:
    alive = [worker for worker, age in (await heartbeat_ages(redis)).items() if age < ALIVE_S]
    loaded = {
        worker.decode(): names.decode().split()
        for worker, names in (await redis.hgetall(LOADED)).items()
    }
    # A worker without a report has only just started.
    return sorted(worker for worker in alive if name not in loaded.get(worker, [name]))
