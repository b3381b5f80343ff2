"""Decodes files in threads, within limits on accepted files and on decoded files in memory."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeAlias, TypeVar

from common.budget import Budget
from common.errors import Late

Result = TypeVar("Result")
Check: TypeAlias = Callable[[], None]
"""Raises Late when nobody waits for the work any more."""


class DecodePool:
    """A thread pool for decoding, with admission control."""

    def __init__(self, *, threads: int, limit: int) -> None:
        """limit: files accepted at one time."""
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="decode")
        self._files = Budget(limit, "files are in progress")
        # Two for each thread: one is decoded while the model answers the other, and memory stays
        # bounded.
        self._slots = asyncio.Semaphore(2 * threads)

    @property
    def in_progress(self) -> int:
        """Files accepted and not answered yet."""
        return self._files.used

    def admit(self) -> AbstractContextManager[object]:
        """Count a file from acceptance to response. Raises Busy past the limit."""
        return self._files.hold()

    @asynccontextmanager
    async def decode_slot(self) -> AsyncIterator[float]:
        """Wait for one of the slots of decoded files and hold it; yields the wait in ms."""
        begin = time.perf_counter()
        async with self._slots:
            yield 1e3 * (time.perf_counter() - begin)

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
