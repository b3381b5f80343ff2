"""Which milliseconds of a source's wall clock were heard, dropped or not connected. Pure."""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, Literal, TypeAlias

from service.archive.records import MINUTE_MS, MinuteRecord

Level: TypeAlias = Literal["heard", "silent", "clipped"]
NOT_CONNECTED = "not_connected"
MAX_LEVELS = 10_000
"""Changes of level kept until windows answer for them; of older ones the next level is told."""
MAX_MINUTES = 10_000
"""Told at one time, a week: no sink keeps more. A clock that was set further leaves a gap."""
TAIL = "tail"
"""Reason of what is dropped at the end of a stream: it fills no window."""


class Coverage:
    """Follows one source. Its clock never runs backwards: no millisecond is counted twice."""

    def __init__(self, source: str, at_ms: int) -> None:
        """at_ms: now; what is before it in its minute is not connected."""
        self._source = source
        self._at = at_ms // MINUTE_MS * MINUTE_MS
        self._states: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._minutes: list[MinuteRecord] = []
        self._levels: deque[tuple[int, Level]] = deque(maxlen=MAX_LEVELS)
        self._pending: tuple[int, str] | None = None
        self._anchor, self._rate = at_ms, 0
        self._fill(at_ms, NOT_CONNECTED)

    def connect(self, at_ms: int, *, sample_rate: int) -> None:
        """A stream begins: its sample 0 was made at this time."""
        self._fill(at_ms, NOT_CONNECTED)
        self._anchor, self._rate = at_ms, sample_rate
        self._levels.clear()
        self._pending = None

    def captured(self, end_sample: int, level: Level) -> None:
        """The sound from the last call up to a sample has this level."""
        if self._levels and self._levels[-1][1] == level:
            self._levels.pop()
        self._levels.append((end_sample, level))

    def answered(self, start_sample: int, end_sample: int) -> None:
        """A window is answered; what was dropped before it counts up to its start."""
        self._settle(self._ms(start_sample))
        while self._levels and self._levels[0][0] <= end_sample:
            until, level = self._levels.popleft()
            self._fill(self._ms(until), level)
        self._fill(self._ms(end_sample), self._levels[0][1] if self._levels else "heard")

    def dropped(self, to_sample: int, reason: str) -> None:
        """Nothing answers up to a sample, unless a later window does that begins before it."""
        if self._pending:
            # Its part up to here; the later reason is of what follows.
            before, earlier = self._pending
            self._fill(min(self._ms(before), self._ms(to_sample)), f"dropped {earlier}")
        self._pending = (to_sample, reason)

    def disconnect(self, samples: int) -> None:
        """The stream has ended after so many samples; those without an answer are its tail."""
        if not self._rate:
            return
        if self._pending:
            self._settle(self._ms(self._pending[0]))
        self._fill(self._ms(samples), f"dropped {TAIL}")
        self._rate = 0

    def advance(self, at_ms: int) -> None:
        """It is this late; without a stream, the time until now is not connected."""
        if not self._rate:
            self._fill(at_ms, NOT_CONNECTED)

    def take(self) -> list[MinuteRecord]:
        """Return the minutes completed since the last call."""
        minutes, self._minutes = self._minutes, []
        return minutes

    def finish(self, at_ms: int) -> list[MinuteRecord]:
        """Return the last minutes; the rest of the last one is not connected."""
        self._rate = 0
        self._fill(at_ms, NOT_CONNECTED)
        if self._at % MINUTE_MS:
            self._fill((self._at // MINUTE_MS + 1) * MINUTE_MS, NOT_CONNECTED)
        return self.take()

    def _ms(self, sample: int) -> int:
        return self._anchor + sample * 1000 // self._rate

    def _settle(self, until_ms: int) -> None:
        """Count what was dropped, up to a time."""
        if self._pending:
            to_sample, reason = self._pending
            self._pending = None
            self._fill(min(until_ms, self._ms(to_sample)), f"dropped {reason}")

    def _fill(self, until_ms: int, state: str) -> None:
        if until_ms - self._at > MAX_MINUTES * MINUTE_MS:
            self._fill((self._at // MINUTE_MS + 1) * MINUTE_MS, NOT_CONNECTED)
            self._at = until_ms // MINUTE_MS * MINUTE_MS
        while self._at < until_ms:
            edge = (self._at // MINUTE_MS + 1) * MINUTE_MS
            end = min(edge, until_ms)
            kind, _, reason = state.partition(" ")
            if reason:
                self._dropped[reason] += end - self._at
            else:
                self._states[kind] += end - self._at
            self._at = end
            if end == edge:
                self._complete(edge - MINUTE_MS)

    def _complete(self, minute_ms: int) -> None:
        states: dict[str, Any] = {f"{name}_ms": amount for name, amount in self._states.items()}
        self._minutes.append(
            MinuteRecord(
                source=self._source, minute_ms=minute_ms, dropped_ms=dict(self._dropped), **states
            )
        )
        self._states.clear()
        self._dropped.clear()
