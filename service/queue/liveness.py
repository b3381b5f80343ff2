"""Which workers live, told from beats that change: the clock they are written by may be set at any time. Pure."""

from __future__ import annotations

ALIVE_S = 4.0
"""A worker that was not seen for so long does not count."""


class Liveness:
    """Remembers the last beat of each worker, and when it was noticed by our own clock."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, float]] = {}

    def look(self, clock: float, beats: dict[str, float], *, now: float) -> list[str]:
        """Return the workers that live.

        clock: of Redis, seconds. beats: when each was last seen by that clock. now: by ours, which
        is never set.
        """
        self._known = {
            name: (beat, self._noticed(name, beat, clock=clock, now=now))
            for name, beat in beats.items()
        }
        return [name for name, (_, noticed) in self._known.items() if now - noticed < ALIVE_S]

    def _noticed(self, name: str, beat: float, *, clock: float, now: float) -> float:
        if name not in self._known:
            return now - max(0.0, clock - beat)
        before, noticed = self._known[name]
        return noticed if beat == before else now
