"""A Redis client from a URL: TCP, TLS, Unix socket, Sentinel, Cluster; and the job streams' set-up.

Only this, `redis_cluster.py` and `redis_tls.py` know redis-py. `redis_keys.py` lists the keys; the
gateway's side of the queue is `redis.py`, the worker's `redis_consumer.py`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from redis.asyncio import ConnectionPool, Redis, Sentinel, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from common.errors import Unprocessable
from service.queue.redis_cluster import ClusterConnection, TLSClusterConnection
from service.queue.redis_keys import GROUP, JOB_STREAMS, WORKERS
from service.queue.redis_tls import close_promptly
from service.queue.redis_values import MAX_ITEMS, read_items, seconds_of, text_of

REDIS_ERRORS = (RedisError, OSError)
"""What a command raises when Redis is unreachable or rejects it."""
RETRY_S = 0.2
"""Pause before a retry."""
TIMEOUT_S = 5.0
"""Socket timeout. Blocking reads are shorter."""
CLOSE_S = 1.0
"""Time limit for the last commands before a client closes; what is not deleted then expires."""
CLUSTER = ("redis+cluster://", "rediss+cluster://")
SENTINEL = ("redis+sentinel://", "rediss+sentinel://")
QUERY = ("db", "username", "password")
"""Query parameters of a URL, beside those that begin with `ssl_`."""


def connect(url: str) -> Any:
    """Return a client; nothing is sent yet. Raises Unprocessable on an invalid address.

    url: redis://, rediss:// (TLS), unix://PATH,
    redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DATABASE or redis+cluster://HOST:PORT,HOST:PORT
    (rediss+ with TLS), with USER:PASSWORD@ and ?ssl_...=.
    """
    # No retries by redis-py: a job that is sent twice runs twice.
    options: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": TIMEOUT_S,
        "socket_connect_timeout": TIMEOUT_S,
    }
    try:
        _check_options(url)
        kind = (
            _cluster
            if url.startswith(CLUSTER)
            else _sentinel
            if url.startswith(SENTINEL)
            else Redis.from_url
        )
        client: Any = kind(url, **options)
        close_promptly(client)
        # Raises now what redis-py would raise with the first command.
        client.connection_pool.make_connection()
    except (ValueError, TypeError) as error:
        raise Unprocessable(f"{redacted(url)!r} is not a Redis address: {error}") from None
    return client


def _check_options(url: str) -> None:
    """Raises ValueError on options that would change timeouts, retries or the protocol."""
    for name in parse_qs(urlsplit(url).query):
        if name not in QUERY and not name.startswith("ssl_"):
            raise ValueError(
                f"unknown option {name!r}; known: {', '.join(QUERY)} and ssl_ca_certs, ssl_..."
            )


def _cluster(url: str, **options: Any) -> Any:
    """Return a client of the cluster node that owns our keys. Raises ValueError."""
    nodes, path, url_options = _parse(url)
    if path:
        raise ValueError(f"a cluster has no databases; remove {path!r}")
    kind = TLSClusterConnection if url_options.pop("ssl") else ClusterConnection
    return Redis(
        connection_pool=ConnectionPool(
            connection_class=kind, nodes=deque(nodes), **options, **url_options
        )
    )


def _sentinel(url: str, **options: Any) -> Any:
    """Return a client of the master of a service. Raises ValueError."""
    nodes, path, url_options = _parse(url)
    service, _, database = path.partition("/")
    if not service:
        raise ValueError("the service name is missing: HOST:PORT/SERVICE")
    options |= {name: value for name, value in url_options.items() if name.startswith("ssl")}
    sentinel = _Sentinel(nodes, sentinel_kwargs=options, **options)
    login = {name: url_options[name] for name in ("username", "password") if name in url_options}
    return sentinel.master_for(service, db=int(database or url_options.get("db", 0)), **login)


def _parse(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """Return the nodes of an address, its path and redis-py's other options. Raises ValueError."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    nodes = []
    for node in hosts.split(","):
        host, _, port = node.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"{node!r} is not HOST:PORT")
        nodes.append((host.strip("[]"), int(port)))
    scheme = parts.scheme.partition("+")[0]
    url_options: dict[str, Any] = dict(
        parse_url(urlunsplit((scheme, f"{login}{at}localhost", "", parts.query, "")))
    )
    url_options.pop("host")
    url_options["ssl"] = url_options.pop("connection_class", None) is SSLConnection
    return nodes, parts.path.strip("/"), url_options


class _Sentinel(Sentinel):
    def __init__(self, nodes: list[tuple[str, int]], **options: Any) -> None:
        super().__init__(nodes, **options)  # type: ignore[no-untyped-call]
        for client in self.sentinels:
            close_promptly(client)

    async def discover_master(self, service_name: str) -> Any:
        """Return the master's address. The error does not show the options: they hold passwords."""
        try:
            return await super().discover_master(service_name)  # type: ignore[no-untyped-call]
        except MasterNotFoundError:
            raise MasterNotFoundError(
                f"no reachable Sentinel knows a master named {service_name!r}"
            ) from None


def redacted(url: str) -> str:
    """Return an address without user, password and query."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


async def cancel_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: redis-py sometimes swallows a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.1)


async def close(redis: Any) -> None:
    """Close a client and its Sentinel clients. Never raises REDIS_ERRORS."""
    sentinel = getattr(redis.connection_pool, "sentinel_manager", None)
    with suppress(*REDIS_ERRORS):
        await redis.aclose(close_connection_pool=True)
    with suppress(*REDIS_ERRORS):
        if sentinel:
            await sentinel.aclose()


async def create_streams(redis: Any) -> None:
    """Create the streams of jobs and their consumer group. Safe to call twice."""
    async with redis.pipeline(transaction=False) as pipe:
        for key in JOB_STREAMS:
            # "0": a job added before the first worker starts must not be lost.
            pipe.xgroup_create(key, GROUP, id="0", mkstream=True)
        for result in await pipe.execute(raise_on_error=False):
            if isinstance(result, Exception) and "BUSYGROUP" not in str(result):
                raise result


def read_heartbeats(pipe: Any) -> None:
    """Add to a pipeline the two commands whose results `heartbeats_of` takes."""
    pipe.time()
    pipe.zrevrange(WORKERS, 0, MAX_ITEMS - 1, withscores=True)


def heartbeats_of(clock: tuple[int, int], workers: Any) -> tuple[float, dict[str, float]]:
    """Return Redis' clock and each worker's last heartbeat by it, seconds."""
    named = read_items(WORKERS, workers, lambda item: (text_of(item[0]), seconds_of(item[1])))
    return clock[0] + clock[1] / 1e6, dict(named)
