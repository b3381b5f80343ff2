"""How late the event loop runs what is due: a histogram, what feels it, and what is done about it."""

from __future__ import annotations

import asyncio
import time

from service.inference.histogram import Histogram
from service.inference.load_shedding import TOO_LATE_MS, LoadShedder

TICK_S = 0.01
SHARE_S = 0.005
"""Seconds of streams' work in one turn of the loop; what else came waits for the next turn."""


class LoopMonitor:
    """Wakes up every 10 ms and notes how much too late it was, which is for how long the loop did not turn."""

    def __init__(self) -> None:
        self.histogram = Histogram()
        self.thinning = LoadShedder()
        self._due = 0.0
        self._turn: float | None = None  # when the first piece of work of this turn began
        self._waited = 0.0  # by who came last
        self._felt_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to measure, in the running loop."""
        self._due = time.monotonic() + TICK_S
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    async def turn(self) -> None:
        """Wait, in line, for a turn of the loop that has time for a piece of work.

        However much comes at once, the loop goes on turning; a wait is felt by the thinning as a
        late loop is.
        """
        since = now = time.monotonic()
        while self._is_full(now):
            await asyncio.sleep(0)
            now = time.monotonic()
        self._waited = now - since

    def stalled(self, now: float) -> float:
        """Return for how many seconds too long the loop has been in this turn; what is handled now came before it."""
        return max(0.0, now - self._due) if self._timer else 0.0

    def stop(self) -> None:
        """Stop; what was noted stays."""
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _is_full(self, now: float) -> bool:
        if self._turn is None:
            self._turn = now
            asyncio.get_running_loop().call_soon(self._begin_turn)
        return now - self._turn > SHARE_S

    def _begin_turn(self) -> None:
        self._turn = None

    def _tick(self) -> None:
        now = time.monotonic()
        late = max(0.0, now - self._due)
        self.histogram.note(1e3 * late)
        delay = max(late, self._waited)
        # Many wait for the same reason: one delay is felt once while it lasts.
        if 1e3 * delay <= TOO_LATE_MS or now >= self._felt_until:
            self.thinning.note(1e3 * delay)
            self._felt_until = now + delay
        self.start()
