"""Gives work its turns of the event loop, first come first served, a few ms per iteration."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import TypeAlias, TypeVar

ITERATION_S = 0.005
"""Seconds of work in one iteration of the loop; the rest waits while sockets are served."""
TURN_S = 0.002
"""Seconds after which work should request another turn, behind the others."""
POLL_S = 0.005
"""Seconds between two polls of models whose queues are congested."""

Result = TypeVar("Result")
Work: TypeAlias = Callable[[float], None]
"""Is given the seconds it has waited. What it raises is only logged."""


class Turns:
    """A queue of work for the event loop: however much is requested, the loop keeps turning.

    Work for a model waits here while the model's own queue is congested: what waits here has cost
    nothing yet.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        congested: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """clock: seconds; may begin anywhere. congested: of the queue of a model."""
        self.clock = clock
        self._congested = congested
        self._queues: dict[str, deque[tuple[float, Work]]] = {}
        self._scheduled = False

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def request(self, work: Work, *, model: str = "") -> None:
        """Call `work` in its turn, never at once. model: that it is for; empty: none."""
        self._queues.setdefault(model, deque()).append((self.clock(), work))
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    async def wait(self) -> None:
        """Return in turn."""
        turn = asyncio.Event()
        self.request(lambda _: turn.set())
        await turn.wait()

    async def run(self, work: Callable[[], Result]) -> Result:
        """Return what `work` returns, called in its turn; it is not called once we are cancelled.

        Raises what it raises.
        """
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

        def run(_: float) -> None:
            if not done.done():
                try:
                    done.set_result(work())
                except Exception as error:  # noqa: BLE001 - the caller gets it
                    done.set_exception(error)

        self.request(run)
        return await done

    def _run(self) -> None:
        begin = now = self.clock()
        try:
            while now - begin <= ITERATION_S and (queue := self._first()) is not None:
                since, work = queue.popleft()
                work(now - since)
                now = self.clock()
        finally:
            # Whatever one work raises, which the loop logs, the others get their turn.
            self._scheduled = len(self) > 0
            loop = asyncio.get_running_loop()
            if self._first() is not None:
                loop.call_soon(self._run)
            elif self._scheduled:
                loop.call_later(POLL_S, self._run)

    def _first(self) -> deque[tuple[float, Work]] | None:
        """Return the queue whose work has waited longest, of the models that are not congested."""
        first = None
        for model, queue in self._queues.items():
            if (
                queue
                and (first is None or queue[0][0] < first[0][0])
                and not (model and self._congested(model))
            ):
                first = queue
        return first
