"""What a sink is, and the queue before it: no source ever waits for a sink."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from common.errors import TimbreError
from service.archive.records import Record
from service.log import log, trace

MAX_QUEUED = 10_000
"""Records waiting for one sink; then the oldest is lost, counted and told in the log."""
MAX_BATCH = 500
EVERY_S = {"parquet": 60.0}
"""By kind: seconds between two batches, where each replaces a file. What comes meanwhile waits."""
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
CLOSE_S = 5.0
"""Seconds that a sink has at the end for what still waits."""


class SinkError(TimbreError):
    """A sink does not take records now; they are kept and offered again."""

    title = "Sink failed"


class Sink(Protocol):
    """Where records go: a file, a database, a broker."""

    async def write(self, records: Sequence[Record]) -> int:
        """Take some of the records, 1 or more, from the first on; return how many.

        Raises SinkError or OSError if it took none; the same records are offered again later.
        """

    async def close(self) -> None:
        """Release what is open; nothing is written afterwards."""


class SinkQueue:
    """Carries records to one sink, keeps those that it does not take, and counts those lost."""

    def __init__(
        self, name: str, sink: Sink, *, limit: int = MAX_QUEUED, every_s: float = 0.0
    ) -> None:
        """limit: records kept while the sink is away. every_s: between two batches."""
        self.name, self._sink, self._limit, self._every_s = name, sink, limit, every_s
        self.lost = 0
        """Records since the start."""
        self._waiting: deque[Record] = deque()
        self._added, self._closing = asyncio.Event(), asyncio.Event()
        self._put, self._done, self._progress = 0, 0, asyncio.Event()
        self._failing = ""
        self._lost_before = 0

    @property
    def waiting(self) -> int:
        """Records that it has not taken yet."""
        return len(self._waiting)

    def put(self, record: Record) -> None:
        """Add a record. Never waits: when the queue is full, the oldest record is lost."""
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self.lost += 1
            self._advance(1)
        self._waiting.append(record)
        self._put += 1
        self._added.set()

    async def written(self) -> None:
        """Return once what was put until now is taken, or has given way to later records."""
        wanted = self._put
        while self._done < wanted:
            await self._progress.wait()

    def _advance(self, records: int) -> None:
        self._done += records
        self._progress.set()
        self._progress = asyncio.Event()

    async def run(self) -> None:
        """Carry records until `close`, and then those that still wait, for a few seconds."""
        wait_s = FIRST_WAIT_S
        while not (self._closing.is_set() and not self._waiting):
            if not self._waiting:
                self._added.clear()
                await self._added.wait()
                continue
            if await self._offer():
                wait_s = FIRST_WAIT_S
                if self._every_s and len(self._waiting) < MAX_BATCH:
                    await self._pause(self._every_s)
            else:
                await self._pause(wait_s)
                wait_s = min(LONGEST_WAIT_S, 2 * wait_s)

    async def close(self, task: asyncio.Task[None]) -> None:
        """End `run`, whose task this is, and close the sink; what it did not take is lost."""
        self._closing.set()
        self._added.set()
        await asyncio.wait((task,), timeout=CLOSE_S)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if self._waiting:
            self.lost += len(self._waiting)
            log("records lost", sink=self.name, records=len(self._waiting), why="the end")
        await self._sink.close()

    async def _offer(self) -> bool:
        """Offer the oldest records; return whether the sink took them."""
        batch = [self._waiting[at] for at in range(min(MAX_BATCH, len(self._waiting)))]
        lost = self.lost
        try:
            taken = await self._sink.write(batch)
        except (SinkError, OSError) as error:
            self._tell(str(error))
            return False
        except Exception as error:  # noqa: BLE001 - it must not end the sink unseen, for months
            if not self._failing:
                trace(error)
            self._tell(f"a fault: {type(error).__name__}")
            return False
        # Those that gave way meanwhile were the first of the batch: they are not lost.
        gone = self.lost - lost
        left = taken - min(taken, gone)
        for _ in range(left):
            self._waiting.popleft()
        self._advance(left)
        self.lost = lost + max(0, gone - taken)
        self._tell("")
        return True

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            return
        # At the end, the last tries follow each other quickly.
        await asyncio.sleep(FIRST_WAIT_S)

    def _tell(self, failure: str) -> None:
        """Log that the sink fails, or works again, once each."""
        if bool(failure) != bool(self._failing):
            lost = self.lost - self._lost_before
            if failure:
                log("sink failed", sink=self.name, why=failure, waiting=len(self._waiting))
                self._lost_before = self.lost
            else:
                log("sink works again", sink=self.name, lost=lost)
        self._failing = failure
