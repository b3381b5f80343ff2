"""Compares the events of two versions, and of one version at other thresholds. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from models.events import EventDetector, Settings
from models.manifest import Label

MOVED_S = 0.5
"""Seconds by which onset or offset differ from which on an event has moved: the hop."""
Kind: TypeAlias = Literal["won", "lost", "moved"]


@dataclass(frozen=True)
class Heard:
    """One event of a recording, in seconds."""

    label: str
    start: float
    end: float
    peak: float


@dataclass(frozen=True)
class Change:
    """What became of an event; `before` is None if it is won, `after` if it is lost."""

    kind: Kind
    before: Heard | None
    after: Heard | None

    @property
    def event(self) -> Heard:
        """The one of the candidate, or the one that is lost."""
        found = self.after or self.before
        assert found is not None
        return found


@dataclass(frozen=True)
class Scores:
    """The scored windows of one recording, as the events of a stream use them."""

    spans: Sequence[tuple[int, int]]
    """Start and end of each, in samples."""
    values: npt.NDArray[np.float32]
    """Shape (windows, labels)."""
    hop: int
    rate: int

    def events(self, labels: Sequence[Label], settings: Settings) -> list[Heard]:
        """Return the events in order of their start. labels: in the order of the scores."""
        detector = EventDetector(labels, settings, hop=self.hop, sample_rate=self.rate)
        names, found = [label.name for label in labels], []
        for (start, end), row in zip(self.spans, self.values.tolist(), strict=True):
            found += detector.feed(start, end, dict(zip(names, row, strict=True)))
        found += detector.finish()
        heard = [
            Heard(each.label, each.start / self.rate, each.end / self.rate, each.peak)
            for each in found
            if each.end is not None
        ]
        return sorted(heard, key=lambda each: (each.start, each.label))


def changes(before: Iterable[Heard], after: Iterable[Heard]) -> list[Change]:
    """Return what is won, lost and moved between the events of one recording.

    Events of a label that overlap are the same event; of several, each has one partner, the one
    with which it has most in common.
    """
    old, new = list(before), list(after)
    pairs = sorted(
        ((shared, i, j) for i, a in enumerate(old) for j, b in enumerate(new)
         if a.label == b.label and (shared := overlap(a, b)) > 0),
        key=lambda each: (-each[0], *each[1:]),
    )  # fmt: skip
    of_old: dict[int, int] = {}
    taken: set[int] = set()
    for _, i, j in pairs:
        if i not in of_old and j not in taken:
            of_old[i] = j
            taken.add(j)
    found = [Change("won", None, each) for j, each in enumerate(new) if j not in taken]
    for i, event in enumerate(old):
        if i not in of_old:
            found.append(Change("lost", event, None))
        elif _moved(event, new[of_old[i]]):
            found.append(Change("moved", event, new[of_old[i]]))
    return sorted(found, key=lambda each: (each.event.start, each.event.label))


def overlap(one: Heard, other: Heard) -> float:
    """Return the seconds that two events share."""
    return min(one.end, other.end) - max(one.start, other.start)


def _moved(one: Heard, other: Heard) -> bool:
    # Times are multiples of a sample: a hop is not to fail by rounding.
    most = MOVED_S + 1e-3
    return abs(one.start - other.start) > most or abs(one.end - other.end) > most
