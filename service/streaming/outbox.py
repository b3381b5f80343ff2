"""The windows of one stream that wait for their answer: bounded, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from models.store import Model
from service.inference.gateway import Prediction
from service.streaming.windower import Event, LiveWindow


@dataclass(slots=True, eq=False)
class PendingWindow:
    """Something to be told to the client when its turn comes."""

    what: Event
    arrived: float
    """time.monotonic() of the last byte it needed."""
    features_ms: float
    dropped: bool = False
    """Not computed, or pushed out by newer ones: it keeps its place, so that everything is told in
    order."""
    model: Model | None = None
    """Who is to answer: of every window the version that was served when it was cut."""
    asking: asyncio.Task[Prediction] | None = None
    """What asks the model already, while others are in front of it."""

    def withdraw(self) -> None:
        """Ask no more: nobody wants to know."""
        if self.asking:
            self.asking.cancel()
            # An outcome that nobody asks for is no news.
            self.asking.add_done_callback(lambda task: task.cancelled() or task.exception())


class Outbox:
    """One producer puts in and may have to wait, one consumer takes out."""

    def __init__(
        self,
        *,
        limit: int,
        ask: Callable[[PendingWindow], asyncio.Task[Prediction] | None] = lambda _: None,
    ) -> None:
        """ask: begins to ask for a window that is not the first in line, so that the queue knows all that wait."""
        self._limit = limit
        self._ask = ask
        self._line: deque[PendingWindow] = deque()
        self._fresh: deque[PendingWindow] = deque()  # those in line that are not dropped
        self._came = asyncio.Event()
        self._left = asyncio.Event()
        self._closed = False
        self._busy = False  # with what was taken out last

    def put(self, waiting: PendingWindow) -> None:
        """Add at the end. Follow with `room`, which is where the bound is kept."""
        if isinstance(waiting.what, LiveWindow) and not waiting.dropped:
            if self._line or self._busy:
                waiting.asking = self._ask(waiting)
            self._fresh.append(waiting)
        self._line.append(waiting)
        self._came.set()

    async def room(self, *, patience: float | None) -> None:
        """Wait until no more than the limit wait; after `patience` seconds (None: for ever) drop the oldest."""
        while len(self._fresh) > self._limit:
            self._left.clear()
            try:
                async with asyncio.timeout(patience):
                    await self._left.wait()
            except TimeoutError:
                # When the loop is late, others may have left since.
                if len(self._fresh) > self._limit:
                    oldest = self._fresh.popleft()
                    oldest.dropped = True
                    oldest.withdraw()

    async def take(self) -> PendingWindow | None:
        """Return the next in line, None once closed and empty."""
        self._busy = False
        while not self._line:
            if self._closed:
                return None
            self._came.clear()
            await self._came.wait()
        self._busy = True
        waiting = self._line.popleft()
        if self._fresh and self._fresh[0] is waiting:
            self._fresh.popleft()
            self._left.set()
        return waiting

    def close(self) -> None:
        """Nothing more comes; `take` gives out what is left."""
        self._closed = True
        self._came.set()

    def clear(self) -> None:
        """Withdraw what is left."""
        for waiting in self._line:
            waiting.withdraw()
        self._line.clear()
        self._fresh.clear()
