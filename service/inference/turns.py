"""Gives work its turns of the event loop, first come first served, a few ms per iteration."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

ITERATION_S = 0.005
"""Seconds of work in one iteration of the loop; the rest waits while sockets are served."""
TURN_S = 0.002
"""Seconds after which work should request another turn, behind the others."""

Work: TypeAlias = Callable[[float], None]
"""Is given the seconds it has waited. What it raises is only logged."""


class Turns:
    """A queue of work for the event loop: however much is requested, the loop keeps turning."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """clock: seconds; may begin anywhere."""
        self.clock = clock
        self._queue: deque[tuple[Work, float]] = deque()
        self._scheduled = False

    def __len__(self) -> int:
        return len(self._queue)

    def request(self, work: Work) -> None:
        """Call `work` in its turn, never at once."""
        self._queue.append((work, self.clock()))
        self._schedule()

    async def wait(self) -> None:
        """Return in turn."""
        turn = asyncio.Event()
        self.request(lambda _: turn.set())
        await turn.wait()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        begin = now = self.clock()
        try:
            while self._queue and now - begin <= ITERATION_S:
                work, since = self._queue.popleft()
                work(now - since)
                now = self.clock()
        finally:
            # Whatever one work raises, which the loop logs, the others get their turn.
            if self._queue:
                self._schedule()
