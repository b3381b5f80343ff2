"""Event-based precision, recall and F1 with collars, and the errors of onsets. Pure.

As sed_eval computes them (Mesaros, Heittola, Virtanen: Metrics for Polyphonic Sound Event
Detection, Applied Sciences 6(6), 2016, section 3.2.2): a predicted event is right if its onset is
within the collar of a true one's of the same label and, where offsets count, its offset within the
collar or half of the true event's length, whichever is longer. Each event is matched once, by the
matching with the most pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching

from training.evaluation.metrics import f1_of_counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

COLLARS = (0.25, 0.5, 1.0)
"""Seconds."""
LENGTH_SHARE = 0.5
"""Of the true event's length: the offset's collar, where that is longer."""
Seconds: TypeAlias = "npt.NDArray[np.float64]"


class Span(NamedTuple):
    """An event of one label in one recording, in seconds."""

    start: float
    end: float


class Counts(NamedTuple):
    """How many events there are, were predicted, and were predicted right."""

    right: int
    predicted: int
    present: int

    def __add__(self, other: Counts) -> Counts:  # type: ignore[override]
        """Return the counts of both together."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def precision(self) -> float | None:
        """Share of the predicted events that is right; None if there is none."""
        return self.right / self.predicted if self.predicted else None

    @property
    def recall(self) -> float | None:
        """Share of the true events that was found; None if there is none."""
        return self.right / self.present if self.present else None

    @property
    def f1(self) -> float | None:
        """F1; None if there is no true event."""
        return f1_of_counts(*self) if self.present else None


NOTHING = Counts(0, 0, 0)


def count(
    truth: Sequence[Span], predicted: Sequence[Span], *, collar: float, offsets: bool = True
) -> Counts:
    """Return the counts of one label in one recording. collar: seconds, inclusive."""
    right = len(matched(truth, predicted, collar=collar, offsets=offsets))
    return Counts(right, len(predicted), len(truth))


def total(counts: Iterable[Counts]) -> Counts:
    """Return the counts of several recordings together."""
    return sum(counts, NOTHING)


def matched(
    truth: Sequence[Span], predicted: Sequence[Span], *, collar: float, offsets: bool = True
) -> list[tuple[int, int]]:
    """Return the largest set of pairs (true, predicted) within the collars, each event once."""
    if not truth or not predicted:
        return []
    true_start, true_end = _columns(truth)
    start, end = _columns(predicted)
    near = np.abs(true_start[:, None] - start) <= collar
    if offsets:
        reach = np.maximum(collar, LENGTH_SHARE * (true_end - true_start))
        near &= np.abs(true_end[:, None] - end) <= reach[:, None]
    if max(near.sum(axis=0).max(), near.sum(axis=1).max()) <= 1:
        return [(at, other) for at, other in np.argwhere(near).tolist()]
    pairs = maximum_bipartite_matching(csr_array(near), perm_type="column")
    return [(at, int(other)) for at, other in enumerate(pairs) if other >= 0]


def onset_errors(truth: Sequence[Span], predicted: Sequence[Span], *, reach: float) -> list[float]:
    """Return predicted minus true onset, in seconds, of the pairs that are at most `reach` apart.

    Nearest pairs first, each event once; positive: too late.
    """
    near = sorted(
        (abs(found.start - true.start), at, other)
        for at, true in enumerate(truth)
        for other, found in enumerate(predicted)
        if abs(found.start - true.start) <= reach
    )
    errors, used, taken = [], set[int](), set[int]()
    for _, at, other in near:
        if at not in used and other not in taken:
            used.add(at)
            taken.add(other)
            errors.append(predicted[other].start - truth[at].start)
    return errors


def joined(events: Iterable[Span], *, pause: float) -> list[Span]:
    """Return the events sorted, those with at most `pause` seconds between them as one."""
    found: list[Span] = []
    for each in sorted(events):
        if found and each.start - found[-1].end <= pause:
            found[-1] = Span(found[-1].start, max(found[-1].end, each.end))
        else:
            found.append(each)
    return found


def _columns(events: Sequence[Span]) -> tuple[Seconds, Seconds]:
    table = np.array(events, np.float64)
    return table[:, 0], table[:, 1]
