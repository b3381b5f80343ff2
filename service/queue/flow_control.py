"""The line before a queue that others work off: no more jobs are under way than come back soon."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import Busy
from service.queue.base import Job
from service.queue.fair import STALE, RoundRobin

SOON_S = 0.1
"""How long a job that is under way should wait at most; the others wait here, where newer ones
overtake them."""
FIRST, LEAST = 256.0, 64.0
"""Jobs under way at first, and at least."""
GROWTH, DECAY = 0.25, 0.5
"""What one answer that came soon, or late, changes."""


class ByteBudget:
    """Bytes of the jobs that are held at one time, bounded."""

    def __init__(self, *, limit: int) -> None:
        self._limit = limit
        self._held = 0

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Count so many bytes while the block lasts. Raises Busy past the limit."""
        if self._held + size > self._limit:
            raise Busy(f"{self._held} bytes of jobs wait in the queue")
        self._held += size
        try:
            yield
        finally:
            self._held -= size


class FlowControl:
    """Live jobs of one gateway, streams in turn, let through as fast as answers come back."""

    def __init__(self, *, limit: int) -> None:
        """limit: of jobs that wait here."""
        self.credit = FIRST
        """Jobs that may be under way."""
        self._limit = limit
        self._turns: RoundRobin[asyncio.Future[None]] = RoundRobin()
        self._under_way = 0
        self._left = asyncio.Event()

    def __len__(self) -> int:
        return len(self._turns)

    async def acquire(self, job: Job) -> None:
        """Return when the job may go; follow with `leave`. Raises Busy when it is overtaken, or too many wait."""
        if not len(self._turns) and self._under_way < self.credit:
            self._under_way += 1
            return
        self._make_room(job)
        now, future = time.monotonic(), asyncio.get_running_loop().create_future()
        self._turns.add(job.stream, job.id, future, stale=now + STALE * (job.deadline - now))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception():
                # It had its turn at the same moment; one that was refused then had none.
                self.release(None)
            raise
        finally:
            self._turns.discard(job.stream, job.id)
            self._left.set()

    def release(self, wait_s: float | None) -> None:
        """Note that a job is under way no more, and how long it waited there; None: it was given up."""
        self._under_way -= 1
        if wait_s is not None and wait_s > SOON_S:
            self.credit = max(LEAST, self.credit - DECAY)
        elif wait_s is not None and len(self._turns):
            self.credit += GROWTH
        while len(self._turns) and self._under_way < self.credit:
            future, overtaken = self._turns.pop(now=time.monotonic())
            for other in overtaken:
                _refuse(other, "overtaken by a newer window")
            if not future.done():
                future.set_result(None)
                self._under_way += 1
        self._left.set()

    async def empty(self) -> None:
        """Wait until nobody waits."""
        while len(self._turns):
            self._left.clear()
            await self._left.wait()

    def _make_room(self, job: Job) -> None:
        if len(self._turns) >= self._limit:
            oldest = self._turns.push_out(job.stream)
            if oldest is None:
                raise Busy(f"{len(self._turns)} jobs wait for the queue")
            _refuse(oldest, "pushed out by a newer window")


def _refuse(future: asyncio.Future[None], why: str) -> None:
    if not future.done():
        future.set_exception(Busy(why))
