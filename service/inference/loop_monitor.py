"""Measures event-loop lag, gives streams fair turns of the loop, and sheds load when it is late."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import Callable

from service.inference.histogram import Histogram
from service.inference.load_shedding import HIGH_LAG_MS, LoadShedder

TICK_S = 0.01
ITERATION_S = 0.005
"""Seconds of streams' work in one iteration of the loop; the rest waits for the next iteration."""
TURN_S = 0.002
"""Seconds of work after which a stream waits for another turn, behind the others."""
SAME_BURST_S = 0.001
"""A message read so soon after the previous one had already arrived with it."""
IDLE_S = 1.0
"""Seconds without work after which the timer stops."""


class LoopMonitor:
    """Records, every 10 ms while there is work, how late the event loop ran. No work, no timer."""

    def __init__(
        self, *, has_work: Callable[[], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """clock: seconds; may begin anywhere."""
        self.clock = clock
        self.histogram = Histogram()
        self.load_shedder = LoadShedder()
        self.stream_numbers = itertools.count()
        self._has_work = has_work
        self._started = False
        self._timer: asyncio.TimerHandle | None = None
        self._due = self._idle_at = 0.0
        self._iteration: float | None = None  # when the first work of this loop iteration began
        self._waited = 0.0  # by the last stream that was admitted since the last tick
        self._counted_until = -math.inf

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
        self._cancel()

    async def admit(self) -> None:
        """Wait, first come first served, for an iteration of the loop that has time for more work.

        However much arrives at once, the loop keeps turning. The load shedder takes a wait for lag.
        """
        since = now = self.clock()
        while self._is_full(now):
            await asyncio.sleep(0)
            now = self.clock()
        self._waited = now - since

    def stalled(self, now: float) -> float:
        """Return for how many seconds more than a tick the current iteration of the loop has run.

        What is handled in it may have arrived that much earlier.
        """
        return max(0.0, now - self._due) if self._timer else 0.0

    def _is_full(self, now: float) -> bool:
        if self._iteration is None:
            self._iteration = now
            asyncio.get_running_loop().call_soon(self._begin_iteration)
        return now - self._iteration > ITERATION_S

    def _begin_iteration(self) -> None:
        self._iteration = None

    def _schedule(self) -> None:
        self._due = self.clock() + TICK_S
        self._timer = asyncio.get_running_loop().call_later(TICK_S, self._tick)

    def _cancel(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        now = self.clock()
        late = max(0.0, now - self._due)
        self.histogram.record(1e3 * late)
        delay, self._waited = max(late, self._waited), 0.0
        # Many wait for the same reason: one delay counts once while it lasts.
        if 1e3 * delay <= HIGH_LAG_MS or now >= self._counted_until:
            self.load_shedder.update(1e3 * delay)
            self._counted_until = now + delay
        if self._has_work() or self.load_shedder.one_of > 1:
            self._idle_at = now + IDLE_S
        if now < self._idle_at:
            self._schedule()
        else:
            self._cancel()


class Turn:
    """One stream's turns of the event loop, and when its messages arrived."""

    def __init__(self, monitor: LoopMonitor) -> None:
        self._monitor = monitor
        self._number = next(monitor.stream_numbers)
        self._requested = self._admitted = self._ended = -math.inf

    @property
    def shedding(self) -> tuple[int, int]:
        """Of how many windows one is computed, and at which offset: streams take turns."""
        return self._monitor.load_shedder.one_of, self._number

    def begin(self) -> float:
        """Start handling a message; return the earliest time at which it can have arrived.

        Time that the loop, or an earlier message of the same burst, made it wait counts as its age.
        """
        now = self._monitor.clock()
        if now - self._ended >= SAME_BURST_S:
            self._requested, self._admitted = now, -math.inf
        return min(self._requested, now - self._monitor.stalled(now))

    async def wait(self) -> None:
        """Wait for another turn when this one is used up: long messages must not delay others."""
        now = self._monitor.clock()
        if now - self._admitted > TURN_S:
            self._requested = now
            await self._monitor.admit()
            self._admitted = self._monitor.clock()

    def end(self) -> None:
        """Finish handling the message."""
        self._ended = self._monitor.clock()
