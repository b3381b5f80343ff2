"""TLS connections to Redis that close at once."""

from __future__ import annotations

from typing import Any

from redis.asyncio import SSLConnection
from redis.asyncio.sentinel import SentinelManagedSSLConnection


class PromptTLSConnection(SSLConnection):
    """A connection that is closed without TLS's closing handshake.

    Every response has been read by then, so that there is nothing for it to protect; and it waits
    for the server, for up to 30 s, and outlives a loop that ends before that.
    """

    async def disconnect(self, *arguments: Any, **options: Any) -> None:
        """Close the socket."""
        if self._writer is not None:
            self._writer.transport.abort()
        await super().disconnect(*arguments, **options)


class PromptSentinelTLSConnection(PromptTLSConnection, SentinelManagedSSLConnection):
    """The same to a master that Sentinel names."""


_PROMPT = {
    SSLConnection: PromptTLSConnection,
    SentinelManagedSSLConnection: PromptSentinelTLSConnection,
}


def close_promptly(client: Any) -> None:
    """Have a client's TLS connections closed at once; others are."""
    pool = client.connection_pool
    pool.connection_class = _PROMPT.get(pool.connection_class, pool.connection_class)
