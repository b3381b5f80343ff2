"""Which versions gateways want and which workers have them, told through Redis.

A gateway takes a version over once every worker that lives has it, so that no job waits for a model
to be loaded.
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
from service.queue.redis_connection import HELD, TROUBLE, WANTED, seen

FORM = re.compile(f"{NAME.pattern}:{VERSION.pattern}")
WANT_S = 10.0
"""A version that no gateway wanted for so long is wanted no more."""
PREPARE_S = 5.0
"""How long workers have to load a version."""
PAUSE_S = 0.05


async def request_versions(redis: Any, names: Iterable[str]) -> None:
    """Say that these versions, as NAME:VERSION, are asked for, or soon will be."""
    seconds, _ = await redis.time()
    if marks := dict.fromkeys(names, seconds):
        await redis.zadd(WANTED, marks)


async def requested_versions(redis: Any) -> set[str]:
    """Return the versions that gateways want."""
    seconds, _ = await redis.time()
    async with redis.pipeline(transaction=False) as pipe:
        pipe.zremrangebyscore(WANTED, "-inf", seconds - WANT_S)
        pipe.zrange(WANTED, 0, -1)
        _, names = await pipe.execute()
    return {name for name in (each.decode() for each in names) if FORM.fullmatch(name)}


async def report_version(redis: Any, worker: str, names: Iterable[str]) -> None:
    """Say what a worker has loaded."""
    await redis.hset(HELD, worker, " ".join(sorted(names)))


async def prepare(redis: Any, name: str) -> None:
    """Return when every worker that lives has a version. Raises ArtefactError naming those that have not."""
    until = time.monotonic() + PREPARE_S
    try:
        await request_versions(redis, [name])
        while lacking := await _lacking(redis, name):
            if time.monotonic() > until:
                raise ArtefactError(
                    f"{name.replace(':', ' ')}: not loaded by worker {', '.join(lacking)}"
                )
            await asyncio.sleep(PAUSE_S)
    except TROUBLE as error:
        raise ArtefactError("the queue cannot be used") from error


async def _lacking(redis: Any, name: str) -> list[str]:
    alive = [worker for worker, ago in (await seen(redis)).items() if ago < ALIVE_S]
    held = {
        worker.decode(): names.decode().split()
        for worker, names in (await redis.hgetall(HELD)).items()
    }
    # One that has told nothing yet has only begun.
    return sorted(worker for worker in alive if name not in held.get(worker, [name]))
