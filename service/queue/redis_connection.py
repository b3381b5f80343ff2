"""The way to Redis: addresses, keys, and what both sides of the queue do. The one file that knows redis-py.

Jobs travel on two streams with one consumer group, answers on one stream for each gateway. All keys
share the hash tag `{timbre}`. The gateways' side is `service/queue/redis.py`, the workers'
`service/queue/redis_consumer.py`.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from redis.asyncio import Connection, ConnectionPool, Redis, Sentinel, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, RedisError, ResponseError, TryAgainError

from common.errors import Unprocessable

LIVE, CLIPS = "{timbre}:jobs:live", "{timbre}:jobs:clips"
ANSWERS = "{timbre}:answers:"
WORKERS = "{timbre}:workers"
"""Sorted set: each worker and when it was last seen, in seconds of Redis' clock."""
HELD = "{timbre}:held"
"""Hash: the versions each worker has loaded."""
WANTED = "{timbre}:wanted"
"""Sorted set: each version that gateways ask for, and when it was last wanted, in seconds of Redis'
clock."""
DEAD = "{timbre}:dead"
GATEWAYS = "{timbre}:gateway:"
"""Written all the time by each gateway: Redis may be full or a replica, or have forgotten what it
was told."""
GROUP = "workers"
TROUBLE = (RedisError, OSError)
"""What goes wrong between us and Redis."""
RETRY_S = 0.2
"""Pause before Redis is tried again."""
TIMEOUT_S = 5.0
"""Silence of Redis after which it counts as lost. Blocking reads are shorter than it."""
PART_S = 1.0
"""How long who leaves waits for Redis to take what is left to say; what is not said expires."""
ASK_S = 1.0
"""How long one node of a cluster may take to say who owns our keys."""
CLUSTER = ("redis+cluster://", "rediss+cluster://")
SENTINEL = ("redis+sentinel://", "rediss+sentinel://")

QUERY = ("db", "username", "password")


def connect(url: str) -> Any:
    """Return a client; nothing is sent yet. Raises Unprocessable on an address that makes no sense.

    url: redis://, rediss:// (TLS), unix://PATH,
    redis+sentinel://HOST:PORT,HOST:PORT/SERVICE/DATABASE or redis+cluster://HOST:PORT,HOST:PORT
    (rediss+ with TLS), with USER:PASSWORD@ and ?ssl_...=.
    """
    # No retries of redis-py's own: a job that is sent twice runs twice.
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
        # What redis-py would say with the first command.
        client.connection_pool.make_connection()
    except (ValueError, TypeError) as error:
        raise Unprocessable(f"{redacted(url)!r} is no address of Redis: {error}") from None
    return client


def _check_options(url: str) -> None:
    """Raises ValueError on what would change how we speak with Redis."""
    for name in parse_qs(urlsplit(url).query):
        if name not in QUERY and not name.startswith("ssl_"):
            raise ValueError(
                f"after the ? may stand {', '.join(QUERY)}, ssl_ca_certs and its like, but not {name!r}"
            )


def _cluster(url: str, **options: Any) -> Any:
    """Return a client of the one node that owns all our keys. Raises ValueError."""
    nodes, path, given = _taken_apart(url)
    if path:
        raise ValueError(f"a cluster has no databases, and so no {path!r}")
    kind = _EncryptedClusterConnection if given.pop("ssl") else _ClusterConnection
    return Redis(
        connection_pool=ConnectionPool(
            connection_class=kind, nodes=deque(nodes), **options, **given
        )
    )


def _sentinel(url: str, **options: Any) -> Any:
    """Return a client of whoever is master of a service. Raises ValueError."""
    nodes, path, given = _taken_apart(url)
    service, _, database = path.partition("/")
    if not service:
        raise ValueError("the name of the service is missing: HOST:PORT/SERVICE")
    options |= {name: value for name, value in given.items() if name.startswith("ssl")}
    sentinel = _Sentinel(nodes, sentinel_kwargs=options, **options)  # type: ignore[no-untyped-call]
    login = {name: given[name] for name in ("username", "password") if name in given}
    return sentinel.master_for(service, db=int(database or given.get("db", 0)), **login)


def _taken_apart(url: str) -> tuple[list[tuple[str, int]], str, dict[str, Any]]:
    """Return the nodes that an address names, its path, and the other options of redis-py. Raises ValueError."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    nodes = []
    for each in hosts.split(","):
        host, _, port = each.rpartition(":")
        if not host or not port.isdecimal():
            raise ValueError(f"{each!r} is not HOST:PORT")
        nodes.append((host.strip("[]"), int(port)))
    scheme = parts.scheme.partition("+")[0]
    given: dict[str, Any] = dict(
        parse_url(urlunsplit((scheme, f"{login}{at}localhost", "", parts.query, "")))
    )
    given.pop("host")
    given["ssl"] = given.pop("connection_class", None) is SSLConnection
    return nodes, parts.path.strip("/"), given


class _Sentinel(Sentinel):
    async def discover_master(self, service_name: str) -> Any:
        """Say who is asked, and not with what options."""
        try:
            return await super().discover_master(service_name)  # type: ignore[no-untyped-call]
        except MasterNotFoundError:
            raise MasterNotFoundError(
                f"no Sentinel that answers knows a master named {service_name!r}"
            ) from None


class _ClusterConnection(Connection):
    """A connection to the node that owns our keys, whichever that is when it is opened.

    They share a hash tag, so one node has them all: what is asked for together can be, and there is
    one clock.
    """

    def __init__(self, *, nodes: deque[tuple[str, int]], **options: Any) -> None:
        """nodes: those known, shared by all connections of a client."""
        self._nodes = nodes
        self._options = options | {"socket_timeout": ASK_S, "socket_connect_timeout": ASK_S}
        super().__init__(**options)

    async def connect(self) -> None:
        """Look for the owner first."""
        if not self.is_connected:
            self.host, self.port = await self._find()
        await super().connect()  # type: ignore[no-untyped-call]

    async def _find(self) -> tuple[str, int]:
        """Ask one node after the other. Raises what the last one gave."""
        trouble: Exception = ClusterDownError("no node owns the keys")
        for node in tuple(self._nodes):
            # Whoever answered is asked last the next time: it may be cut off from the others, and
            # know old things.
            self._nodes.rotate(-1)
            try:
                if owner := await self._ask(*node):
                    return owner
            except TROUBLE as error:
                trouble = error
        raise ConnectionError(str(trouble)) from trouble

    async def _ask(self, host: str, port: int) -> tuple[str, int] | None:
        kind: Any = SSLConnection if isinstance(self, SSLConnection) else Connection
        asking: Any = Redis(
            connection_pool=ConnectionPool(
                connection_class=kind, **(self._options | {"host": host, "port": port})
            )
        )
        try:
            slots = await asking.execute_command("CLUSTER SLOTS")
        finally:
            await asking.aclose(close_connection_pool=True)
        slot = key_slot(LIVE.encode())
        # Each: first slot, last slot, owner, replicas. A node that knows no address of its own
        # gives none.
        owners = [((each[2][0] or host.encode()).decode(), int(each[2][1])) for each in slots]
        self._nodes.extend(node for node in dict.fromkeys(owners) if node not in self._nodes)
        return next(
            (node for node, each in zip(owners, slots, strict=True) if each[0] <= slot <= each[1]),
            None,
        )

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """Part from who does not own the keys any more."""
        try:
            return await super().read_response(*arguments, **options)
        except (AskError, TryAgainError, ClusterDownError) as error:  # MOVED is an AskError
            await self.disconnect()
            raise ConnectionError(f"the keys have moved, or are about to: {error}") from error


class _EncryptedClusterConnection(_ClusterConnection, SSLConnection):
    pass


def redacted(url: str) -> str:
    """Return an address without what must not be told."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))


async def close(redis: Any) -> None:
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


async def heartbeats(redis: Any) -> tuple[float, dict[str, float]]:
    """Return Redis' clock, seconds, and when each worker was last seen by it."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.time()
        pipe.zrange(WORKERS, 0, -1, withscores=True)
        (seconds, microseconds), workers = await pipe.execute()
    return seconds + microseconds / 1e6, {name.decode(): last for name, last in workers}


async def seen(redis: Any) -> dict[str, float]:
    """Return the seconds since each worker was last seen."""
    now, workers = await heartbeats(redis)
    return {name: max(0.0, now - last) for name, last in workers.items()}
