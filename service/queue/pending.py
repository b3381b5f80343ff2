"""Who waits for which answer. In memory, for one gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from service.queue.codec import Reply


class PendingReplies:
    """Hands each reply to the one that waits for it; a late or second one is dropped."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[Reply]] = {}
        self._left = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._waiting

    @contextmanager
    def expect(self, job_id: str) -> Iterator[asyncio.Future[Reply]]:
        """Enter before the job is sent; leaving forgets it, however we leave."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting[job_id] = future
        try:
            yield future
        finally:
            del self._waiting[job_id]
            self._left.set()

    def resolve(self, reply: Reply) -> bool:
        """Deliver a reply. Return False when nobody waits any more."""
        future = self._waiting.get(reply.job_id)
        if future is None or future.done():
            return False
        future.set_result(reply)
        return True

    async def empty(self) -> None:
        """Wait until nobody waits."""
        while self._waiting:
            self._left.clear()
            await self._left.wait()
