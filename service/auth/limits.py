"""What one key may still do: requests per second and open streams."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Protocol

from common.errors import TooMany
from service.auth.keys import Key
from service.lifecycle import Closeable


def rate_exceeded(key: Key, wait_s: int) -> TooMany:
    """Return the error that tells of a key's rate, and in how many seconds there will be room."""
    return TooMany(f"more than {key.rate:g} requests per second with this key", retry_after=wait_s)


def streams_exceeded(streams: int) -> TooMany:
    """Return the error that tells how many streams are open with a key."""
    return TooMany(f"{streams} streams are open with this key, as many as it may have")


class SharedLimits(Protocol):
    """What all gateways count together: through Redis, or on one machine."""

    async def spend(self, key: Key) -> None:
        """Count a request. Raises TooMany."""

    def streaming(self, key: Key) -> AbstractAsyncContextManager[None]:
        """Count a stream while it lasts. Raises TooMany."""

    async def watch(self) -> None:
        """Keep what is counted good."""

    async def close(self) -> None:
        """Let go of what is held."""


class KeyLimits:
    """What one key may still do in this process: a bucket of requests that fills by the second, and open streams.

    With an allowance, all gateways count together besides.
    """

    def __init__(self, key: Key, allowance: SharedLimits | None = None) -> None:
        self.key = key
        self._allowance = allowance
        self._tokens = max(1.0, key.rate)
        self._at = time.monotonic()
        self._streams: set[Closeable] = set()

    def spend(self, at: float) -> None:
        """Count a request at a time (monotonic, seconds). Raises TooMany when there were too many before it."""
        self._tokens = min(max(1.0, self.key.rate), self._tokens + (at - self._at) * self.key.rate)
        self._at = at
        if self._tokens < 1:
            wait_s = math.ceil((1 - self._tokens) / self.key.rate)
            raise rate_exceeded(self.key, wait_s)
        self._tokens -= 1

    async def spend_shared(self) -> None:
        """Count a request here and for all gateways. Raises TooMany."""
        self.spend(time.monotonic())
        if self._allowance:
            await self._allowance.spend(self.key)

    @asynccontextmanager
    async def streaming(self, stream: Closeable) -> AsyncIterator[None]:
        """Count a stream while it lasts. Raises TooMany past the bound."""
        if len(self._streams) >= self.key.streams:
            raise streams_exceeded(len(self._streams))
        self._streams.add(stream)
        try:
            async with self._allowance.streaming(self.key) if self._allowance else nullcontext():
                yield
        finally:
            self._streams.discard(stream)

    def shut_down(self) -> None:
        """End the streams that are open."""
        for stream in tuple(self._streams):
            stream.shut_down()
