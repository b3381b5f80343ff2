"""A connection to the node of a Redis Cluster that owns our keys, found by CLUSTER SLOTS."""

from __future__ import annotations

from collections import deque
from typing import Any

from redis.asyncio import Connection
from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, RedisError, TryAgainError

from service.queue.redis_keys import LIVE_JOBS
from service.queue.redis_tls import PromptTLSConnection

SLOTS_S = 1.0
"""Time limit for the response of one node."""


class ClusterConnection(Connection):
    """A connection to the node that owns our keys at the time it is opened.

    All keys share a hash tag, so one node owns them: pipelines, scripts and blocking reads of
    several keys work as without a cluster, and there is one clock.
    """

    def __init__(self, *, nodes: deque[tuple[str, int]], **options: Any) -> None:
        """nodes: the known ones, shared by all connections of a client."""
        self._nodes = nodes
        self._options = options | {"socket_timeout": SLOTS_S, "socket_connect_timeout": SLOTS_S}
        super().__init__(**options)

    async def connect(self) -> None:
        """Find the owner, then connect to it."""
        if not self.is_connected:
            self.host, self.port = await self._find_owner()
        await super().connect()  # type: ignore[no-untyped-call]

    async def _find_owner(self) -> tuple[str, int]:
        """Query the nodes one by one. Raises ConnectionError with the reason of the last one."""
        reason: Exception = ClusterDownError("no node owns the keys")
        for node in tuple(self._nodes):
            # A node that was queried is the last one the next time: it may be partitioned from the
            # others and know an old layout.
            self._nodes.rotate(-1)
            try:
                if owner := await self._owner_by(*node):
                    return owner
            except (RedisError, OSError) as error:
                reason = error
        raise ConnectionError(str(reason)) from reason

    async def _owner_by(self, host: str, port: int) -> tuple[str, int] | None:
        """Return the owner according to one node, None when no node owns our slot."""
        kind: Any = PromptTLSConnection if isinstance(self, PromptTLSConnection) else Connection
        # Not by a client: its pool closes in tasks of its own, which may be cancelled unstarted.
        connection: Any = kind(**(self._options | {"host": host, "port": port}))
        try:
            await connection.connect()
            await connection.send_command("CLUSTER SLOTS")
            ranges = await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)
        slot = key_slot(LIVE_JOBS.encode())
        # Each range: first slot, last slot, owner, replicas. A node that does not know its own
        # address gives an empty one.
        owners = [((item[2][0] or host.encode()).decode(), int(item[2][1])) for item in ranges]
        self._nodes.extend(node for node in dict.fromkeys(owners) if node not in self._nodes)
        return next(
            (node for node, item in zip(owners, ranges, strict=True) if item[0] <= slot <= item[1]),
            None,
        )

    async def read_response(self, *arguments: Any, **options: Any) -> Any:
        """Return a response; disconnect when this node no longer owns the keys."""
        try:
            return await super().read_response(*arguments, **options)
        except (AskError, TryAgainError, ClusterDownError) as error:  # MOVED is an AskError
            await self.disconnect()
            raise ConnectionError(f"the keys have moved or are about to move: {error}") from error


class TLSClusterConnection(ClusterConnection, PromptTLSConnection):
    """The same over TLS."""
