"""Counts the samples of a stream by outcome. Pure."""

from __future__ import annotations


class SampleAccount:
    """Counts samples by outcome: received = processed + dropped + tail, at every moment.

    Positions are the client's sample indices; windows are recorded in the order of their start.
    """

    def __init__(self) -> None:
        self.received = 0
        """Distinct samples received."""
        self.processed = 0
        """Of these, in at least one answered window."""
        self.windows = 0
        """Answered windows."""
        self._dropped = 0
        self._answered_to = 0
        self._lost: tuple[int, int] | None = None  # a later answer may still cover its end

    @property
    def dropped(self) -> int:
        """Samples in a dropped window and in no answered one."""
        return self._dropped + (self._lost[1] - self._lost[0] if self._lost else 0)

    @property
    def tail(self) -> int:
        """Samples in no window at all."""
        return self.received - self.processed - self.dropped

    def answer(self, start: int, end: int) -> None:
        """Record that the window of these samples was answered."""
        if self._lost:
            self._dropped += min(self._lost[1], max(start, self._lost[0])) - self._lost[0]
            self._lost = None
        self.processed += end - max(start, self._answered_to)
        self._answered_to = end
        self.windows += 1

    def drop(self, start: int, end: int) -> None:
        """Record that the window of these samples was dropped."""
        start = max(start, self._answered_to)
        if self._lost and start <= self._lost[1]:
            self._lost = (self._lost[0], max(end, self._lost[1]))
        else:
            self._dropped = self.dropped
            self._lost = (start, max(end, start))
