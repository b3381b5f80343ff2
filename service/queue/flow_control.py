"""Flow control of live jobs before a shared queue: a bounded number of them is in flight.

The bound, the credit, grows a little with each reply that waited less than the target while jobs
wait here, and shrinks with each that waited longer; below `STEADY_CREDIT` only with those that
waited much longer. Of the waiting jobs of a stream, newer windows overtake the older ones.
"""

from __future__ import annotations

import asyncio
import time

from common.errors import Busy
from service.queue.base import OVERTAKEN, REPLACED, Job, queue_full
from service.queue.fair import STALE, RoundRobin

TARGET_S = 0.1
"""How long a job in flight should wait at most, beside its round trips."""
SLOW_S = 0.5
"""How long a job may wait that is in flight with only `STEADY_CREDIT` others."""
INITIAL_CREDIT, STEADY_CREDIT, MIN_CREDIT = 128.0, 64.0, 4.0
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

    @property
    def congested(self) -> bool:
        """Whether as many jobs wait here as may be in flight."""
        return len(self._waiting) >= self.credit

    async def acquire(self, job: Job) -> None:
        """Return when the job may be sent; `release` must follow.

        Raises Busy when the job is overtaken, or when too many wait.
        """
        if not len(self._waiting) and self.in_flight < self.credit:
            self.in_flight += 1
            return
        self._replace_oldest_if_full(job)
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

    def release(self, wait_s: float | None, *, round_trips_s: float = 0.0) -> None:
        """End a job in flight.

        wait_s: how long it waited, infinite if it got no reply in time, None when that is not
        known. round_trips_s: the part of it that a job takes without any other.
        """
        self.in_flight -= 1
        if wait_s is not None:
            self._adjust(wait_s - round_trips_s)
        while len(self._waiting) and self.in_flight < self.credit:
            future, overtaken = self._waiting.pop(now=time.monotonic())
            for other in overtaken:
                _reject(other, OVERTAKEN)
            if not future.done():
                future.set_result(None)
                self.in_flight += 1
        self._removed.set()

    def _adjust(self, queued_s: float) -> None:
        if queued_s > TARGET_S:
            least = MIN_CREDIT if queued_s > SLOW_S else STEADY_CREDIT
            self.credit = max(min(self.credit, least), self.credit - DECREASE)
        elif len(self._waiting):
            self.credit += INCREASE

    async def empty(self) -> None:
        """Return once no job waits here."""
        while len(self._waiting):
            self._removed.clear()
            await self._removed.wait()

    def _replace_oldest_if_full(self, job: Job) -> None:
        if len(self._waiting) >= self._limit:
            oldest = self._waiting.pop_oldest(job.stream)
            if oldest is None:
                raise queue_full(len(self._waiting))
            _reject(oldest, REPLACED)


def _reject(future: asyncio.Future[None], why: str) -> None:
    if not future.done():
        future.set_exception(Busy(why))
