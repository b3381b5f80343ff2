"""Threads that decode files, and how many files are accepted at one time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

from common.budget import Budget

Result = TypeVar("Result")


class DecodePool:
    """Threads for decoding, with a bound on what is accepted and on what is decoded at one time."""

    def __init__(self, *, threads: int, limit: int) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._files = Budget(limit, "files are in progress")
        # Two for each thread: while the model answers one clip the next is being decoded, and
        # memory stays bounded.
        self._decoded = asyncio.Semaphore(2 * threads)

    def place(self) -> AbstractContextManager[object]:
        """Hold a place from acceptance to answer. Raises Busy when there is none."""
        return self._files.hold()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Wait for a turn to be decoded, and keep it to the answer. Gives the milliseconds waited."""
        begin = time.perf_counter()
        async with self._decoded:
            yield 1e3 * (time.perf_counter() - begin)

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, from a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Forget what has not begun."""
        self._threads.shutdown(wait=False, cancel_futures=True)
