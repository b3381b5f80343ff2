"""Requests of one key in a process of their own, which imports no more than they need."""

import asyncio
import contextlib
from types import SimpleNamespace

from common.errors import TooMany
from service.auth import file_limits as module
from service.auth.file_limits import FileLimits


def spend(folder, number, of, together, made):
    """Request a thousand times, as fast as can be; report how often it was allowed."""

    async def ask():
        gateway, allowed = FileLimits(folder, number=number), 0
        for _ in range(1_000):
            with contextlib.suppress(TooMany):
                await gateway.count_request(of)
                allowed += 1
        made.put(allowed)

    module.LOCK_S = 60
    # A clock that stands still: what is in the bucket is all there is.
    module.time = SimpleNamespace(monotonic=lambda: 1_000.0)
    together.wait(120)
    asyncio.run(ask())
