"""Limits of one API key: requests per second and open streams."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Protocol

from common.budget import Budget
from common.errors import TooMany
from service.auth.keys import Key
from service.auth.token_bucket import take_token
from service.lifecycle import Stoppable
from service.log import FailureLog

STREAMS_OPEN = "streams are open with this key"


def rate_exceeded(key: Key, wait_s: int) -> TooMany:
    """Return the error of a request past the rate; wait_s: seconds until one is accepted."""
    return TooMany(f"more than {key.rate:g} requests per second with this key", retry_after=wait_s)


def streams_exceeded(key: Key, count: int) -> TooMany:
    """Return the error of a stream past the limit; count: of open ones."""
    return TooMany(f"{count} of {key.streams} {STREAMS_OPEN}")


def failure_log() -> FailureLog:
    """Return what logs that a gateway counts alone, and that it counts with the others again."""
    return FailureLog(
        "key limits are counted by each gateway alone", "key limits are counted together again"
    )


class SharedLimits(Protocol):
    """Limits counted by all gateways together: in Redis, or in files of one machine."""

    async def count_request(self, key: Key) -> None:
        """Count a request. Raises TooMany past the rate."""

    def count_stream(self, key: Key) -> AbstractAsyncContextManager[None]:
        """Count a stream until the block ends. Raises TooMany past the limit."""

    async def renew(self) -> None:
        """Renew what would expire, until cancelled; returns when nothing does."""

    async def close(self) -> None:
        """Close connections."""


class KeyLimits:
    """Limits of one key in this process; with `shared`, also of all gateways together."""

    def __init__(self, key: Key, shared: SharedLimits | None = None) -> None:
        self.key = key
        """May be replaced by a newer state of the same key."""
        self._shared = shared
        self._tokens, self._tokens_at = math.inf, 0.0
        self._streams: set[Stoppable] = set()
        self._budget = Budget(key.streams, STREAMS_OPEN, error=TooMany)

    async def count_request(self) -> None:
        """Count a request. Raises TooMany past the rate."""
        self.take_token(time.monotonic())
        if self._shared:
            await self._shared.count_request(self.key)

    def take_token(self, now: float) -> None:
        """Count a request in this process. now: monotonic, seconds. Raises TooMany."""
        rate = self.key.rate
        self._tokens, wait_s = take_token(self._tokens, self._tokens_at, now=now, rate=rate)
        self._tokens_at = now
        if wait_s:
            raise rate_exceeded(self.key, wait_s)

    @asynccontextmanager
    async def count_stream(self, stream: Stoppable) -> AsyncIterator[None]:
        """Count a stream until the block ends. Raises TooMany past the limit."""
        self._budget.limit = self.key.streams
        with self._budget.hold():
            self._streams.add(stream)
            try:
                async with self._shared.count_stream(self.key) if self._shared else nullcontext():
                    yield
            finally:
                self._streams.discard(stream)

    def shut_down(self) -> None:
        """Close the open streams of this key."""
        for stream in tuple(self._streams):
            stream.shut_down()
