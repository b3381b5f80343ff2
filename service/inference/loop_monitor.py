"""Measures, while there is work, how late the event loop runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from service.inference.histogram import Histogram

TICK_S = 0.01
IDLE_S = 1.0
"""Seconds without work after which the timer stops."""


class LoopMonitor:
    """Records, every 10 ms while there is work, how late the event loop ran. No work, no timer."""

    def __init__(
        self,
        *,
        has_work: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
        observe: Callable[[float], None] = lambda _: None,
    ) -> None:
        """clock: seconds; may begin anywhere. observe: gets each lag, in seconds."""
        self.clock = clock
        self.histogram = Histogram()
        self._has_work = has_work
        self._observe = observe
        self._started = False
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._idle_at = 0.0

    @property
    def ticking(self) -> bool:
        """Whether the timer runs."""
        return self._timer is not None

    def start(self) -> None:
        """Measure from now on, whenever there is work."""
        self._started = True
        self.wake()

    def wake(self) -> None:
        """Start the timer, in the running loop: there is work, or there will be at once."""
        if self._started and not self._timer:
            self._idle_at = self.clock() + IDLE_S
            self._schedule()

    def stop(self) -> None:
        """Stop for good; the histogram stays."""
        self._started = False
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._due = self.clock() + TICK_S
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        now = self.clock()
        lag_s = max(0.0, now - self._due)
        self.histogram.record(1e3 * lag_s)
        self._observe(lag_s)
        if self._has_work():
            self._idle_at = now + IDLE_S
        if now < self._idle_at:
            self._schedule()
        else:
            self._timer = None
