"""Whether the queue in Redis accepts jobs: Redis takes writes and at least one worker is alive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from service.log import log
from service.queue import redis_values, redis_versions
from service.queue.liveness import Liveness
from service.queue.redis_connection import (
    RETRY_S,
    create_streams,
    heartbeats_of,
    read_heartbeats,
)
from service.queue.redis_keys import (
    API_KEYS,
    GATEWAYS,
    JOB_STREAMS,
    LOADED,
    REPLIES,
    REQUESTED,
    WORKERS,
)

CHECK_S = 1.0
GATEWAY_KEY_S = 3_600
"""How long the key of a gateway that died stays."""
DISK = ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")


def eviction_policy(info: Mapping[str, Any]) -> str:
    """Return what Redis does when its memory is full, as of INFO."""
    return str(info.get("maxmemory_policy", "noeviction"))


def failed_writes(info: Mapping[str, Any]) -> list[str]:
    """Return what Redis could not write to its disk, by the names of INFO."""
    return [name for name in DISK if info.get(name, "ok") != "ok"]


def unsafe_settings(info: Mapping[str, Any], *, has_keys: bool = False) -> list[str]:
    """Return what in Redis' settings and state, as of INFO, may cost jobs or API keys.

    has_keys: whether API keys are in it.
    """
    found = []
    if (policy := eviction_policy(info)) != "noeviction":
        found.append(f"maxmemory-policy {policy} may evict jobs and API keys; set noeviction")
    if failed := failed_writes(info):
        found.append(f"{', '.join(failed)}: writing to disk failed, and Redis may reject writes")
    if has_keys and not info.get("aof_enabled"):
        found.append("API keys without appendonly yes: one revoked may be valid after a restart")
    return found


class QueueHealth:
    """Checks Redis and the workers every second, and at once after a failure."""

    def __init__(
        self,
        redis: Any,
        *,
        name: str,
        where: str,
        versions: Callable[[], Iterable[str]],
        resend: Callable[[], Awaitable[None]],
        workers: Callable[[int], None],
    ) -> None:
        """name: of this gateway. where: Redis' address for the log.

        versions: gives those that workers should load, NAME:VERSION. resend: called when Redis may
        have lost jobs. workers: gets how many are alive, at each check.
        """
        self._redis = redis
        self.key = GATEWAYS + name
        self._keys = (*JOB_STREAMS, WORKERS, LOADED, REQUESTED, self.key, REPLIES + name)
        self._where = where
        self._versions = versions
        self._resend = resend
        self._workers = workers
        self._liveness = Liveness()
        self._run_id: str | None = None
        """Of the Redis server at the last check; None where `INFO` is not allowed."""
        self._redis_down = "the queue has not been reached yet"
        self._no_worker = ""
        self._failed = asyncio.Event()
        self.healthy = asyncio.Event()

    @property
    def redis_down(self) -> str:
        """Why jobs cannot be sent; empty while Redis takes them."""
        return self._redis_down

    @property
    def unavailable(self) -> str:
        """Why no new jobs should be submitted; empty while the queue is healthy."""
        return self._redis_down or self._no_worker

    def report_failure(self, message: str, *, why: str) -> None:
        """Count Redis as down until the next check, which follows soon. why: for the log."""
        self._update(redis_down=message, why=why)
        self._failed.set()

    async def step(self) -> None:
        """Check once, then wait for the time of the next check."""
        was_down = bool(self._redis_down)
        self._failed.clear()
        async with self._redis.pipeline(transaction=False) as pipe:
            redis_values.remove_wrong_types(pipe, self._keys)
            # The key is gone when Redis has lost its data.
            pipe.set(self.key, "here", ex=GATEWAY_KEY_S, get=True)
            redis_versions.request_versions(pipe, self._versions())
            read_heartbeats(pipe)
            pipe.info("server")
            *results, info = await pipe.execute(raise_on_error=False)
        removed, known, _, *workers = _checked(results)
        lost = set(redis_values.report_removed(removed))
        if self._restarted(info) or was_down or not known or lost & set(JOB_STREAMS):
            await create_streams(self._redis)
            await self._resend()
            await self._check_settings()
        no_worker = self._no_worker
        if WORKERS not in lost:  # else they register again before the next check
            alive = self._liveness.update(*heartbeats_of(*workers), now=time.monotonic())
            self._workers(len(alive))
            no_worker = "" if alive else "no worker is running"
        self._update(no_worker=no_worker)
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S if no_worker else CHECK_S):
                await self._failed.wait()
            await asyncio.sleep(RETRY_S)

    def _restarted(self, info: Mapping[str, Any] | Exception) -> bool:
        """Return whether another server answers than at the last check.

        redis-py connects again without an error where a connection was closed while none waited on
        it, and a restart from a snapshot brings back this gateway's key, but not the latest jobs.
        """
        before = self._run_id
        self._run_id = None if isinstance(info, Exception) else info.get("run_id")
        return self._run_id != before

    async def _check_settings(self) -> None:
        """Log settings of Redis that are unsafe."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.info()
            pipe.type(API_KEYS)
            info, keys = await pipe.execute(raise_on_error=False)
        if isinstance(info, Exception):
            log("Redis settings not checked", redis=self._where, why=str(info))
            return
        for why in unsafe_settings(info, has_keys=keys == b"hash"):
            log("Redis settings unsafe", redis=self._where, why=why)

    def _update(self, *, redis_down: str = "", no_worker: str = "", why: str = "") -> None:
        before = self.unavailable
        self._redis_down, self._no_worker = redis_down, no_worker
        if self.unavailable != before:
            log(
                "queue unavailable" if self.unavailable else "queue recovered",
                redis=self._where,
                why=why or self.unavailable or "-",
            )
        if self.unavailable:
            self.healthy.clear()
        else:
            self.healthy.set()


def _checked(results: list[Any]) -> list[Any]:
    """Return the results of a pipeline. Raises the first that is an error."""
    for result in results:
        if isinstance(result, Exception):
            raise result
    return results
