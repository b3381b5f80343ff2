"""Labelled collections of sound: clips with intervals, labels and a source."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from common.names import tidy
from training.common.errors import MaterialError
from training.common.text_files import check_alike

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class CollectionError(MaterialError):
    """A collection cannot be used as it is; the message has a remedy."""

    title = "Bad collection"

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        """problems: everything that could not be used."""
        super().__init__(message)
        self.problems = tuple(problems)


class Interval(NamedTuple):
    """A stretch of a file in which one label sounds, in seconds from the file's beginning."""

    start: float
    end: float
    label: str


class Problem(NamedTuple):
    """A file, or a line of a list, that is not used, and why."""

    path: Path
    why: str


@dataclass(frozen=True)
class Clip:
    """A stretch of a sound file, in seconds from the file's beginning, and its labels."""

    path: Path
    start: float
    end: float
    labels: tuple[str, ...]
    """Sorted; empty where nothing of interest sounds."""
    source: str
    """Where the recording comes from; splits never cut through a source."""
    intervals: tuple[Interval, ...] = ()
    """When each label sounds, where that changes inside the clip; empty: all labels sound
    throughout."""
    inner: str = ""
    """The recording inside `path`, where that holds several (HDF5, npz)."""
    part: str = ""
    """train, valid or test, where the collection says so."""

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.end - self.start

    def sounding(self, begin: float, end: float) -> dict[str, float]:
        """Return the seconds of each label between begin and end, on the file's clock."""
        if not self.intervals:
            overlap = max(0.0, min(end, self.end) - max(begin, self.start))
            return dict.fromkeys(self.labels, overlap)
        sounding_s = dict.fromkeys(self.labels, 0.0)
        for one in self.intervals:
            sounding_s[one.label] += max(0.0, min(end, one.end) - max(begin, one.start))
        return sounding_s


Found: TypeAlias = Clip | Problem
"""What a loader comes upon."""


@dataclass(frozen=True)
class Collection:
    """Clips in a fixed order, the labels they may have, and everything that could not be used."""

    clips: tuple[Clip, ...]
    labels: tuple[str, ...]
    problems: tuple[Problem, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """Every source once, sorted."""
        return tuple(sorted({clip.source for clip in self.clips}))

    @property
    def hours(self) -> float:
        """Length of all clips together."""
        return sum(clip.seconds for clip in self.clips) / 3600

    def counts(self) -> dict[str, int]:
        """Return the number of clips in which each label sounds at all."""
        found = Counter(label for clip in self.clips for label in clip.labels)
        return {label: found[label] for label in self.labels}


def collect(
    clips: Iterable[Clip], problems: Iterable[Problem], labels: Sequence[str] = ()
) -> Collection:
    """Return a collection of these clips, sorted. labels: required ones in order, else all found.

    Labels get composed letters (NFC). Raises CollectionError, with the problems, when there is no
    clip or no label, labels look alike, one has no example, or a label is not among `labels`.
    """
    clips = sorted(clips, key=lambda clip: (str(clip.path), clip.inner, clip.start, clip.end))
    problems = tuple(problems)
    if not clips:
        raise CollectionError(f"nothing to train on{_first(problems)}", problems)
    clips = _tidied(clips, problems)
    labels = tuple(map(tidy, labels))
    found = sorted({label for clip in clips for label in clip.labels})
    if unknown := [label for label in found if labels and label not in labels]:
        where = next(clip.path for clip in clips if unknown[0] in clip.labels)
        raise CollectionError(
            f"label {unknown[0]!r} of {where} is not one of those wanted: {', '.join(labels)}",
            problems,
        )
    names = tuple(labels) or tuple(found)
    if not names:
        raise CollectionError(f"no clip has a label{_first(problems)}", problems)
    collection = Collection(tuple(clips), names, problems)
    if bare := [label for label, count in collection.counts().items() if not count]:
        raise CollectionError(
            f"label {bare[0]!r} has no example{_first(problems)}; add some or remove it", problems
        )
    return collection


def _first(problems: Sequence[Problem]) -> str:
    if not problems:
        return ""
    return (
        f" ({len(problems):,} files could not be used; "
        f"the first: {problems[0].path}: {problems[0].why})"
    )


def _tidied(clips: Sequence[Clip], problems: Sequence[Problem]) -> list[Clip]:
    """Return the clips with their labels in one form. Raises CollectionError for those alike."""
    names = {label for clip in clips for label in clip.labels}
    try:
        check_alike(names)
    except MaterialError as error:
        raise CollectionError(str(error), problems) from None
    if not (changed := {name for name in names if tidy(name) != name}):
        return list(clips)
    return [
        replace(
            clip,
            labels=tuple(sorted(map(tidy, clip.labels))),
            intervals=tuple(one._replace(label=tidy(one.label)) for one in clip.intervals),
        )
        if changed & set(clip.labels)
        else clip
        for clip in clips
    ]


def merge(intervals: Iterable[Interval]) -> tuple[Interval, ...]:
    """Return the intervals sorted, those of one label that touch or overlap joined."""
    joined: dict[str, list[Interval]] = {}
    for one in sorted(intervals):
        there = joined.setdefault(one.label, [])
        if there and one.start <= there[-1].end:
            there[-1] = there[-1]._replace(end=max(there[-1].end, one.end))
        else:
            there.append(one)
    return tuple(sorted(one for some in joined.values() for one in some))


def problems_csv(problems: Iterable[Problem]) -> str:
    """Return the text of a CSV file with the columns path and problem."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "problem"))
    writer.writerows(problems)
    return text.getvalue()
