"""Kinds of metrics: counters, gauges, ages and histograms, with labels, in the slot of a process.

Each is written by one thread, that of the event loop.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable
from typing import ClassVar, Literal

from service.log import log
from service.metrics.slot import Labels, Slot

LIMIT = 1_000
"""Sets of labels of one family in one process; what goes past it is counted as `other`."""
RESERVE = 1_024
"""Values of a slot that are kept for those."""
OTHER = "other"


class Family:
    """One metric: its name, its labels, and where its values lie."""

    kind: ClassVar[Literal["counter", "gauge", "histogram"]]

    def __init__(self, slot: Slot, name: str, labels: Labels, text: str, *, width: int = 1) -> None:
        """labels: their names. text: what is counted, for people. width: values of each series."""
        self.name, self.labels, self.text = name, labels, text
        self._slot, self._values, self._width = slot, slot.values, width
        self._at = _Index(self._add)
        for series in slot.view.series:
            if series.family == name:
                self._at[series.labels] = series.first
        if not labels:
            self.expect()

    def expect(self, *labels: str) -> None:
        """Show a series from now on, with zero: a rate is only seen after a first value."""
        self._at[labels]

    @staticmethod
    def combine(one: float, other: float) -> float:
        """Return the value of two processes together."""
        return one + other

    def _add(self, labels: Labels) -> int:
        if len(labels) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {labels}")
        others = (OTHER,) * len(labels)
        fits = len(self._at) < LIMIT and self._slot.fits(
            self.name, labels, self._width, reserve=RESERVE
        )
        if not fits and labels != others:
            if others not in self._at:
                log("metric has too many labels", metric=self.name, kept=len(self._at))
            # These labels are not kept: they have no bound.
            return self._at[others]
        self._at[labels] = at = self._slot.add(self.name, labels, self._width)
        return at


class _Index(dict[Labels, int]):
    """Index of the first value by labels."""

    def __init__(self, add: Callable[[Labels], int]) -> None:
        super().__init__()
        self._add = add

    def __missing__(self, labels: Labels) -> int:
        return self._add(labels)


class Counter(Family):
    """A number that only grows."""

    kind = "counter"

    def add(self, *labels: str, by: float = 1.0) -> None:
        """Count."""
        self._values[self._at[labels]] += by

    def bound(self, *labels: str) -> Callable[[float], None]:
        """Return what counts so much with these labels, in half the time."""
        at, values = self._at[labels], self._values

        def add(by: float) -> None:
            values[at] += by

        return add


class Gauge(Family):
    """A number that holds now; of a process that ended it is 0."""

    kind = "gauge"

    def __init__(self, slot: Slot, name: str, labels: Labels, text: str) -> None:
        """Set all to 0 that an earlier process left."""
        super().__init__(slot, name, labels, text)
        self.clear()

    def clear(self) -> None:
        """Set all to 0."""
        for at in self._at.values():
            self._values[at] = 0.0

    def set(self, value: float, *labels: str) -> None:
        """Set the number."""
        self._values[self._at[labels]] = value

    def add(self, *labels: str, by: float = 1.0) -> None:
        """Change the number."""
        self._values[self._at[labels]] += by

    def shown(self, value: float, now: float) -> float | None:
        """Return what is told of a value at `now`, by time.monotonic(); None: nothing."""
        del now
        return value


class Largest(Gauge):
    """A gauge of which the largest of all processes holds."""

    @staticmethod
    def combine(one: float, other: float) -> float:
        """Return the larger."""
        return max(one, other)


class Latest(Largest):
    """A moment, the latest of all processes; it outlives the one in which it was."""

    def clear(self) -> None:
        """Keep it: what has happened stays true."""


class Info(Largest):
    """A gauge that says something by its labels: it is 1, or not shown."""

    def shown(self, value: float, now: float) -> float | None:
        """Return 1, or None for 0."""
        del now
        return value or None


class Age(Gauge):
    """Seconds since a moment of time.monotonic(), the earliest of all processes; 0: none."""

    @staticmethod
    def combine(one: float, other: float) -> float:
        """Return the earlier of those that are not 0."""
        return min(one or other, other or one)

    def shown(self, value: float, now: float) -> float | None:
        """Return the age in seconds."""
        return max(0.0, now - value) if value else 0.0


class Histogram(Family):
    """How many values lie below each bound, and their sum."""

    kind = "histogram"

    def __init__(
        self, slot: Slot, name: str, labels: Labels, text: str, *, bounds: Iterable[float]
    ) -> None:
        """bounds: upper ones, ascending; one more bucket holds what is above."""
        self.bounds = tuple(bounds)
        super().__init__(slot, name, labels, text, width=len(self.bounds) + 2)

    def observe(self, value: float, *labels: str) -> None:
        """Count a value."""
        self.bound(*labels)(value)

    def bound(self, *labels: str) -> Callable[[float], None]:
        """Return what counts a value with these labels, in half the time."""
        at, values, bounds = self._at[labels], self._values, self.bounds
        total = at + len(bounds) + 1

        def observe(value: float) -> None:
            values[at + bisect_left(bounds, value)] += 1.0
            values[total] += value

        return observe
