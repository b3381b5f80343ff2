"""Flow control of live jobs before a shared queue: a credit of jobs in flight, adapted by AIMD.

The others wait here, where newer windows of a stream overtake its older ones.
"""

from __future__ import annotations

import asyncio
import time

from common.errors import Busy
from service.queue.base import Job
from service.queue.fair import STALE, RoundRobin

TARGET_S = 0.1
"""How long a job in flight should wait at most."""
INITIAL_CREDIT, MIN_CREDIT = 256.0, 64.0
INCREASE, DECREASE = 0.25, 0.5
"""Change of the credit by one reply that waited less, or more, than the target."""


class FlowControl:
    """Lets live jobs of one gateway through, round-robin between streams, as replies come back."""

    def __init__(self, *, limit: int) -> None:
        """limit: of jobs that wait here."""
        self.credit = INITIAL_CREDIT
        """Jobs that may be in flight."""
        self.in_flight = 0
        self._limit = limit
        self._waiting: RoundRobin[asyncio.Future[None]] = RoundRobin()
        self._removed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    async def acquire(self, job: Job) -> None:
        """Return when the job may be sent; `release` must follow.

        Raises Busy when the job is overtaken, or when too many wait.
        """
        if not len(self._waiting) and self.in_flight < self.credit:
            self.in_flight += 1
            return
        self._make_room(job)
        now, future = time.monotonic(), asyncio.get_running_loop().create_future()
        self._waiting.add(job.stream, job.id, future, stale=now + STALE * (job.deadline - now))
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and not future.exception():
                # It was let through at the same moment, unlike one that was rejected then.
                self.release(None)
            raise
        finally:
            self._waiting.discard(job.stream, job.id)
            self._removed.set()

    def release(self, wait_s: float | None) -> None:
        """End a job in flight; wait_s: how long it waited, None when it got no reply."""
        self.in_flight -= 1
        if wait_s is not None and wait_s > TARGET_S:
            self.credit = max(MIN_CREDIT, self.credit - DECREASE)
        elif wait_s is not None and len(self._waiting):
            self.credit += INCREASE
        while len(self._waiting) and self.in_flight < self.credit:
            future, overtaken = self._waiting.pop(now=time.monotonic())
            for other in overtaken:
                _reject(other, "overtaken by a newer window")
            if not future.done():
                future.set_result(None)
                self.in_flight += 1
        self._removed.set()

    async def empty(self) -> None:
        """Return once no job waits here."""
        while len(self._waiting):
            self._removed.clear()
            await self._removed.wait()

    def _make_room(self, job: Job) -> None:
        if len(self._waiting) >= self._limit:
            oldest = self._waiting.pop_oldest(job.stream)
            if oldest is None:
                raise Busy(f"the queue is full: {len(self._waiting)} jobs are pending")
            _reject(oldest, "replaced by a newer window")


def _reject(future: asyncio.Future[None], why: str) -> None:
    if not future.done():
        future.set_exception(Busy(why))
