"""What a way to the scores gave, compared with the same windows in this process: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

BOUND = 1e-5
"""Scores that are at most this far apart count as equal: a model that runs other batches, or on
another processor, may round its last bits differently."""


@dataclass(frozen=True)
class Scored:
    """The scores of one window, or of a picture."""

    scores: Mapping[str, float]
    labels: frozenset[str] | None = None
    """Those over their threshold; None where a way does not tell them."""


@dataclass(frozen=True)
class Found:
    """What one way gave."""

    version: str
    windows: Mapping[int, Scored]
    """By the window's start, in samples at the model's rate; a picture is one that starts at 0."""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A way, beside this process."""

    way: str
    windows: int = 0
    """Answered."""
    difference: float = 0.0
    """The largest, of the windows and labels that both have."""
    start: int | None = None
    """Of the window with the largest difference, in samples."""
    label: str = ""
    """With the largest difference."""
    troubles: tuple[str, ...] = field(default=())
    """What differs beside scores: the version, windows, labels; or the error."""
    note: str = ""

    def passes(self, bound: float) -> bool:
        """Return whether all is equal within the bound."""
        return not self.troubles and self.difference <= bound


def compare(
    way: str, found: Found, reference: Found, *, spans: Mapping[int, float], padded: int | None
) -> Verdict:
    """Return how a way differs from the reference.

    spans: seconds at which each window begins, by its start. padded: start of a last window that is
    padded with silence, which the way may lack; None: it must have all.
    """
    troubles = []
    if found.version != reference.version:
        troubles.append(f"version {found.version}, not {reference.version}")
    missing = [
        start for start in reference.windows if start not in found.windows and start != padded
    ]
    if missing:
        troubles.append(
            f"{len(missing)} of {len(reference.windows)} windows missing, "
            f"the first at {spans[missing[0]]:.2f} s"
        )
    if more := found.windows.keys() - reference.windows.keys():
        troubles.append(f"{len(more)} windows that this process has not")
    common = [start for start in reference.windows if start in found.windows]
    troubles += _labels_that_differ(found, reference, common, spans)
    difference, start, label = _largest(found, reference, common)
    return Verdict(
        way=way,
        windows=len(found.windows),
        difference=difference,
        start=start,
        label=label,
        troubles=tuple(troubles),
        note=found.note,
    )


def _largest(found: Found, reference: Found, common: list[int]) -> tuple[float, int | None, str]:
    """Return the largest difference of a score, with its window and label."""
    largest: tuple[float, int | None, str] = (0.0, None, "")
    for start in common:
        ours = reference.windows[start].scores
        for label, score in found.windows[start].scores.items():
            difference = abs(score - ours[label]) if label in ours else 0.0
            if difference > largest[0]:
                largest = (difference, start, label)
    return largest


def _labels_that_differ(
    found: Found, reference: Found, common: list[int], spans: Mapping[int, float]
) -> list[str]:
    """Return a sentence for other labels of the model, and one for others over their threshold."""
    troubles = []
    for start in common:
        own, other = reference.windows[start].scores.keys(), found.windows[start].scores.keys()
        if own != other:
            troubles.append(f"other labels: {', '.join(sorted(own ^ other))}")
            break
    for start in common:
        over, others = reference.windows[start].labels, found.windows[start].labels
        if None not in (over, others) and over != others:
            names = ", ".join(sorted(frozenset(over or ()) ^ frozenset(others or ())))
            troubles.append(f"others over the threshold at {spans[start]:.2f} s: {names}")
            break
    return troubles
