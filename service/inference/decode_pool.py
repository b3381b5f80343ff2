"""Limits on accepted files and on decoded files in memory; threads that decode large ones."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
)
from typing import TypeAlias, TypeVar

from common.budget import Budget
from common.errors import Late
from service.queue.fair import RoundRobin

Result = TypeVar("Result")
Check: TypeAlias = Callable[[], None]
"""Raises Late when nobody waits for the work any more."""
SMALL_FILES = 16
"""Small files decoded at one time: enough that the model is always busy, and so few that what the
model answers at once takes the event loop some milliseconds."""


class Slots:
    """A number of slots; clients that wait get theirs in turn, however many files each has sent."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: RoundRobin[asyncio.Future[None]] = RoundRobin()

    @asynccontextmanager
    async def hold(self, client: str) -> AsyncIterator[float]:
        """Wait for a slot and hold it; yields the wait in ms."""
        begin = time.perf_counter()
        await self._wait(client)
        try:
            yield 1e3 * (time.perf_counter() - begin)
        finally:
            self._release()

    async def _wait(self, client: str) -> None:
        if self._free:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        key = str(id(turn))
        self._waiting.add(client, key, turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._waiting.discard(client, key)
            if not turn.cancelled():  # its turn came as it was cancelled
                self._release()
            raise

    def _release(self) -> None:
        while self._waiting:
            turn, _ = self._waiting.pop()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


class DecodePool:
    """A thread pool for decoding, with admission control."""

    def __init__(self, *, threads: int, limit: int) -> None:
        """limit: files accepted at one time."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._files = Budget(limit, "files are in progress")
        # Two for each thread: one is decoded while the model answers the other, and memory stays
        # bounded.
        self._slots = Slots(2 * threads)
        self._small = Slots(SMALL_FILES)

    @property
    def in_progress(self) -> int:
        """Files accepted and not answered yet."""
        return self._files.used

    def admit(self) -> AbstractContextManager[object]:
        """Count a file from acceptance to response. Raises Busy past the limit."""
        return self._files.hold()

    def decode_slot(
        self, client: str = "", *, small: bool = False
    ) -> AbstractAsyncContextManager[float]:
        """Wait for one of the slots of decoded files and hold it; gives the wait in ms.

        small: one of the slots of files that need no thread.
        """
        return (self._small if small else self._slots).hold(client)

    async def run(self, work: Callable[[Check], Result], *, deadline: float) -> Result:
        """Return the result of `work(check)`, run in a thread.

        deadline: as time.monotonic() counts. `check` raises Late past it, and once the caller was
        cancelled; work calls it between its steps, and does not begin when it would raise.
        """
        abandoned = threading.Event()

        def check() -> None:
            if abandoned.is_set() or time.monotonic() >= deadline:
                raise Late("the deadline passed while the file was decoded")

        def checked() -> Result:
            check()
            return work(check)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, checked)
        finally:
            abandoned.set()

    def close(self) -> None:
        """Cancel what has not started; does not wait for the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
