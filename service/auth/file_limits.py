"""Limits of API keys counted by all gateways of one machine: a small file for each key.

It holds doubles: the tokens of the bucket, the monotonic time of these (the same clock in all
processes), and the open streams of gateway 0, 1, ... A lock on the file serialises the gateways;
the kernel releases it when a process dies.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import time
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from service.auth.keys import Key
from service.auth.limits import failure_log, rate_exceeded, streams_exceeded
from service.auth.token_bucket import take_token

STREAMS = 2
"""Index of the streams of gateway 0."""
MAX_BYTES = 65_536
LOCK_S = 0.25
"""Time limit for the lock: a gateway that is stopped while it holds it must not stop the others."""
PAUSE_S = 0.001
LOCAL_FALLBACK_S = 1.0
"""How long this process counts only its own requests after the files could not be used."""


class FileLimits:
    """`SharedLimits` in a folder. While it cannot be used, each process counts its own."""

    def __init__(self, folder: Path, *, number: int) -> None:
        """number: of this gateway; streams of a process that had it before are forgotten."""
        self._folder = folder
        self._index = STREAMS + number
        self._streams: Counter[str] = Counter()  # of this process, by key
        self._local_until = 0.0
        self._failure = failure_log()
        for path in folder.iterdir():
            self._add_streams(path.name, 0)

    async def count_request(self, key: Key) -> None:
        """Count a request. Raises TooMany past the rate."""
        if wait_s := await self._locked(key.id, lambda file: _take_token(file, key.rate)):
            raise rate_exceeded(key, wait_s)

    @asynccontextmanager
    async def count_stream(self, key: Key) -> AsyncIterator[None]:
        """Count a stream until the block ends. Raises TooMany past the limit."""

        def add_if_fits(file: int) -> int:
            count = round(sum(_read(file)[STREAMS:]))
            if count < key.streams:
                self._add_streams(key.id, 1)
            return count

        count = await self._locked(key.id, add_if_fits)
        if count is None:
            self._add_streams(key.id, 1)
        elif count >= key.streams:
            raise streams_exceeded(key, count)
        try:
            yield
        finally:
            self._add_streams(key.id, -1)

    async def renew(self) -> None:
        """Return at once: nothing expires."""

    async def close(self) -> None:
        """Nothing is open."""

    def _add_streams(self, name: str, change: int) -> None:
        """Change this process's open streams of a key. No lock: no other process writes them."""
        self._streams[name] += change
        try:
            with self._opened(name) as file:
                os.pwrite(file, array("d", [self._streams[name]]).tobytes(), 8 * self._index)
        except OSError as error:
            self._fall_back(error)

    async def _locked(self, name: str, change: Callable[[int], int]) -> int | None:
        """Return what `change` returns for the locked file of a key; None when it is unusable."""
        if time.monotonic() < self._local_until:
            return None
        try:
            with self._opened(name) as file:
                await _lock(file)
                found = change(file)
        except OSError as error:
            self._fall_back(error)
            return None
        self._failure.worked()
        return found

    def _fall_back(self, error: OSError) -> None:
        self._failure.failed(error)
        self._local_until = time.monotonic() + LOCAL_FALLBACK_S

    @contextmanager
    def _opened(self, name: str) -> Iterator[int]:
        file = os.open(self._folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield file
        finally:
            os.close(file)  # which releases the lock


def _read(file: int) -> list[float]:
    return array("d", os.pread(file, MAX_BYTES, 0)).tolist()


def _take_token(file: int, rate: float) -> int:
    """Take a token; return 0, or in how many seconds there will be one."""
    now = time.monotonic()
    tokens, at = [*_read(file), 0.0, 0.0][:STREAMS]
    if not at:  # no request was counted yet
        tokens = math.inf
    tokens, wait_s = take_token(tokens, at, now=now, rate=rate)
    os.pwrite(file, array("d", [tokens, now]).tobytes(), 0)
    return wait_s


async def _lock(file: int) -> None:
    """Lock until the file is closed. Raises BlockingIOError when others hold it for too long."""
    until = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(PAUSE_S)
        else:
            return
