"""Tells when a source is dead: no sound, nothing but silence, or clipped for long. Pure."""

from __future__ import annotations

from typing import Literal, TypeAlias

from service.monitor.coverage import Level

Problem: TypeAlias = Literal["", "not connected", "no sound", "silent", "clipped"]
WORDS: dict[str, str] = {
    "no sound": "it is connected and gives no samples",
    "silent": "no sample above -80 dB: it is dead or switched off, not quiet",
    "clipped": "its samples are at full scale: too loud, or a fault of the device",
    "not connected": "it is not connected",
}
RETURN_S = {"silent": 2.0, "clipped": 2.0, "no sound": 30.0, "not connected": 30.0}
"""Seconds of usual sound after which each is over; long where a source comes and goes."""


class Health:
    """Follows the level of one source; a problem is told once, and once that it is over."""

    def __init__(self, *, patience_s: float) -> None:
        """patience_s: seconds of silence or clipping that are a problem."""
        self._patience_s = patience_s
        self._level: Level = "heard"
        self._lasted_s = 0.0
        self._problem: Problem = ""

    @property
    def problem(self) -> Problem:
        """The problem told last; empty: there is none."""
        return self._problem

    def sound(self, level: Level, seconds: float) -> Problem | None:
        """Return the new state if sound of this level changes it, else None."""
        self._lasted_s = self._lasted_s + seconds if level == self._level else seconds
        self._level = level
        if level == "heard":
            over = self._problem and self._lasted_s >= RETURN_S[self._problem]
            return self._turn("") if over else None
        return self._turn(level) if self._lasted_s >= self._patience_s else None

    def lost(self, problem: Literal["not connected", "no sound"]) -> Problem | None:
        """Return the problem if it is new."""
        self._lasted_s = 0.0
        return self._turn(problem)

    def _turn(self, problem: Problem) -> Problem | None:
        if problem == self._problem:
            return None
        self._problem = problem
        return problem
