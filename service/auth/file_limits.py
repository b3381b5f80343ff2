"""What each key may still do, counted by the gateways of one machine together: a file for each key."""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import time
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeAlias

from service.auth.keys import Key
from service.auth.limits import rate_exceeded, streams_exceeded
from service.log import log

Counts: TypeAlias = "array[float]"
"""Of one key: requests it may make, when that was (monotonic, the same in all processes), streams
of each gateway."""
FIRST = 2
"""Where the streams of gateway 0 stand."""
MOST_BYTES = 65_536
LOCK_S = 0.25
"""How long the others may take; a gateway that was stopped while it counted must not stop us."""
PAUSE_S = 0.001
ALONE_S = 1.0
"""How long this process goes by its own counts after the files could not be used."""


class FileLimits:
    """Counts with the other gateways. While the files cannot be used, each process has its own counts."""

    def __init__(self, folder: Path, *, number: int) -> None:
        """number: of this gateway; the streams of the one that had it before, and died, are open no more."""
        self._folder = folder
        self._cell = FIRST + number
        self._alone_until = 0.0
        for path in folder.iterdir():
            with self._opened(path.name) as handle:
                fcntl.flock(handle, fcntl.LOCK_EX)
                self._change(handle, self._forget)

    async def spend(self, key: Key) -> None:
        """Count a request. Raises TooMany when there were too many before it."""
        if wait_s := await self._count(key.id, lambda counts: _take(counts, key.rate)):
            raise rate_exceeded(key, wait_s)

    @asynccontextmanager
    async def streaming(self, key: Key) -> AsyncIterator[None]:
        """Count a stream while it lasts. Raises TooMany past the bound."""
        found = await self._count(key.id, lambda counts: self._begin(counts, key.streams))
        if found is not None and found >= 0:
            raise streams_exceeded(found)
        try:
            yield
        finally:
            if found is not None:
                await self._count(key.id, self._end)

    async def watch(self) -> None:
        """Nothing has to be renewed."""

    async def close(self) -> None:
        """Nothing is held."""

    def _begin(self, counts: Counts, limit: int) -> int:
        """Count a stream; return -1, or how many are open when that is too many."""
        if (found := round(sum(counts[FIRST:]))) >= limit:
            return found
        counts[self._cell] += 1
        return -1

    def _end(self, counts: Counts) -> int:
        counts[self._cell] = max(0.0, counts[self._cell] - 1)
        return 0

    def _forget(self, counts: Counts) -> int:
        counts[self._cell] = 0.0
        return 0

    async def _count(self, name: str, change: Callable[[Counts], int]) -> int | None:
        """Return what a change of a key's counts gives; None when they cannot be used."""
        if time.monotonic() < self._alone_until:
            return None
        try:
            with self._opened(name) as handle:
                await _lock(handle)
                return self._change(handle, change)
        except OSError as error:
            log("keys are counted by each gateway alone", why=error)
            self._alone_until = time.monotonic() + ALONE_S
            return None

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        handle = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield handle
        finally:
            os.close(handle)  # which gives the lock back

    def _change(self, handle: int, change: Callable[[Counts], int]) -> int:
        counts = array("d", os.read(handle, MOST_BYTES))
        counts.extend([0.0] * (self._cell + 1 - len(counts)))
        given = change(counts)
        os.pwrite(handle, counts.tobytes(), 0)
        return given


def _take(counts: Counts, rate: float) -> int:
    """Take a request from a bucket that fills by the second; return 0, or in how many seconds there will be one."""
    now, rim = time.monotonic(), max(1.0, rate)
    before, at = (counts[0], counts[1]) if counts[1] else (rim, now)
    counts[0], counts[1] = min(rim, before + (now - at) * rate), now
    if counts[0] < 1:
        return math.ceil((1 - counts[0]) / rate)
    counts[0] -= 1
    return 0


async def _lock(handle: int) -> None:
    """Keep the others out until the handle is closed. Raises OSError when they take too long."""
    until = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(PAUSE_S)
        else:
            return
