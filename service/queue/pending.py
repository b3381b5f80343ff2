"""Futures of the jobs that wait for a reply. In memory, for one gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from service.queue.base import Reply


class PendingReplies:
    """Gives each reply to the future of its job; a late or second reply is dropped."""

    def __init__(self) -> None:
        self._futures: dict[str, asyncio.Future[Reply]] = {}
        self._removed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._futures)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._futures

    @contextmanager
    def expect(self, job_id: str) -> Iterator[asyncio.Future[Reply]]:
        """Yield the future of a reply. Enter before the job is sent; the exit forgets it."""
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._futures[job_id] = future
        try:
            yield future
        finally:
            del self._futures[job_id]
            self._removed.set()

    def resolve(self, reply: Reply) -> bool:
        """Deliver a reply. Return False when its job is no longer pending."""
        future = self._futures.get(reply.job_id)
        if future is None or future.done():
            return False
        future.set_result(reply)
        return True

    async def empty(self) -> None:
        """Return once no job is pending."""
        while self._futures:
            self._removed.clear()
            await self._removed.wait()
