"""Which workers are alive, from heartbeats that change, whatever the clocks are set to. Pure.

The limits below differ by the cost of a mistake. A job of a living worker that is reclaimed runs
twice, which is harmless: that limit is short. A gateway without living workers rejects requests:
its limit spans several heartbeats. A worker that is unregistered too early only registers again;
nothing waits for it.
"""

from __future__ import annotations

RECLAIM_MS = 1_500
"""A job whose worker has sent no heartbeat for so long is reclaimed by another."""
ALIVE_S = 4.0
"""A worker without a heartbeat for so long counts as dead in the gateways."""
UNREGISTER_AFTER_S = 600
"""A worker without a heartbeat for so long is unregistered."""


class Liveness:
    """Keeps the last heartbeat of each worker and when our own clock saw it change."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, float]] = {}

    def update(self, clock: float, heartbeats: dict[str, float], *, now: float) -> list[str]:
        """Return the workers that are alive.

        clock: of Redis, seconds. heartbeats: the last of each worker by that clock. now: by our
        monotonic clock.
        """
        self._known = {
            name: (last, self._changed_at(name, last, clock=clock, now=now))
            for name, last in heartbeats.items()
        }
        return [name for name, (_, changed) in self._known.items() if now - changed < ALIVE_S]

    def _changed_at(self, name: str, last: float, *, clock: float, now: float) -> float:
        if name not in self._known:
            return now - max(0.0, clock - last)
        before, changed = self._known[name]
        return changed if last == before else now
