"""The way to Redis: addresses, keys, and what both sides of the queue do. The one file that knows redis-py.

Jobs travel on two streams with one consumer group, answers on one stream for each gateway. All keys share the hash tag
`{timbre}`. The gateways' side is `service/redisqueue.py`, the workers' `service/redisjobs.py`.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from redis.asyncio import Redis, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from features.errors import Unprocessable

LIVE, CLIPS = "{timbre}:jobs:live", "{timbre}:jobs:clips"
ANSWERS = "{timbre}:answers:"
WORKERS = "{timbre}:workers"
"""Sorted set: each worker and when it was last seen, in seconds of Redis' clock."""
HELD = "{timbre}:held"
"""Hash: the versions each worker has loaded."""
WANTED = "{timbre}:wanted"
"""Sorted set: each version that gateways ask for, and when it was last wanted, in seconds of Redis' clock."""
DEAD = "{timbre}:dead"
GATEWAYS = "{timbre}:gateway:"
"""Written all the time by each gateway: Redis may be full or a replica, or have forgotten what it was told."""
GROUP = "workers"
TROUBLE = (RedisError, OSError)
"""What goes wrong between us and Redis."""
RETRY_S = 0.2
"""Pause before Redis is tried again."""
TIMEOUT_S = 5.0
"""Silence of Redis after which it counts as lost. Blocking reads are shorter than it."""


def connect(url: str) -> Any:
    """Return a client; nothing is sent yet. Raises Unprocessable on an address that makes no sense.

    url: redis://, rediss:// (TLS), unix://PATH or redis+sentinel://HOST:PORT,HOST:PORT/SERVICE, with USER:PASSWORD@.
    """
    # No retries of redis-py's own: a job that is sent twice runs twice.
    options: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
    }
    try:
        if not url.startswith("redis+sentinel://"):
            return Redis.from_url(url, **options)
        parts = urlsplit(url)
        pairs = [host.rsplit(":", 1) for host in parts.netloc.rpartition("@")[2].split(",")]
        password = unquote(parts.password) if parts.password else None
        sentinel: Any = Sentinel([(host, int(port)) for host, port in pairs], sentinel_kwargs=options, **options)  # type: ignore[no-untyped-call]
        return sentinel.master_for(parts.path.strip("/"), username=parts.username or None, password=password)
    except ValueError as error:
        raise Unprocessable(f"{shown(url)!r} is no address of Redis: {error}") from None


def shown(url: str) -> str:
    """Return an address without what must not be told."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


async def part(redis: Any) -> None:
    """Close a client, and what it asks Sentinel with."""
    sentinel = getattr(redis.connection_pool, "sentinel_manager", None)
    with suppress(*TROUBLE):
        await redis.aclose(close_connection_pool=True)
    with suppress(*TROUBLE):
        if sentinel:
            await sentinel.aclose()


async def prepare(redis: Any) -> None:
    """Create streams and group. Safe to call twice."""
    for stream in (LIVE, CLIPS):
        try:
            # "0": a job added before the first worker starts must not be lost.
            await redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise


async def beats(redis: Any) -> tuple[float, dict[str, float]]:
    """Return Redis' clock, seconds, and when each worker was last seen by it."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.zrange(WORKERS, 0, -1, withscores=True)
        (seconds, microseconds), workers = await pipe.execute()
    return seconds + microseconds / 1e6, {name.decode(): last for name, last in workers}


async def seen(redis: Any) -> dict[str, float]:
    """Return the seconds since each worker was last seen."""
    now, workers = await beats(redis)
    return {name: max(0.0, now - last) for name, last in workers.items()}
