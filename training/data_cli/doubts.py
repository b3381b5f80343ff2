"""Labels of recordings that the most similar sounds of other sources do not have."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from training.data_cli.heard_page import Heard, heard_page
from training.recordings.collection import CollectionError
from training.recordings.windows import labels

if TYPE_CHECKING:
    from training.data_cli.embedded import Array, EmbeddedWindows
    from training.recordings.collection import Clip, Collection
    from training.recordings.settings import WindowSpec

NEIGHBOURS = 10
"""Windows of other sources that are asked about one."""
UNLIKELY, LIKELY = 0.1, 0.5
"""A label is in doubt where less than the first share of them has it, and the second another."""
SHOWN = 40
"""Doubts on the page; the CSV file has all."""
BLOCK = 256


class Doubt(NamedTuple):
    """A label of a clip that similar sounds of other sources do not have."""

    clip: Clip
    label: str
    share: float
    """Of its neighbours, with the label."""
    suggested: str
    likely: float
    """Share of its neighbours with the suggested one."""
    second: float
    """The window that speaks most for it begins here."""
    like: tuple[Clip, float]
    """The nearest window with the suggested label: its clip and where it begins."""


@dataclass(frozen=True)
class Doubts:
    """The doubts, the least likely label first, and what to think of them."""

    found: list[Doubt]
    right: float
    """Share of clips whose label most of the neighbours have, of those that can be judged."""
    trivial: float
    """The same for the most frequent label."""
    unjudged: tuple[str, ...]
    """Labels of one source, which no other can confirm."""

    @property
    def believed(self) -> bool:
        """Whether neighbours know more than the most frequent label does."""
        return self.right > self.trivial


def find_doubts(
    collection: Collection, windows: EmbeddedWindows, rows: Array, spec: WindowSpec
) -> Doubts:
    """Return the labels that neighbours from other sources do not have.

    rows: of the windows, of length 1. Raises CollectionError for a collection of one source.
    """
    source = _numbers([clip.source for clip in collection.clips])[windows.clip]
    if len(np.unique(source)) < 2:
        raise CollectionError(
            "--doubts compares recordings with those of other sources, and all are of one: name "
            "where they come from (SOURCE/LABEL/file, or the column source of a list)"
        )
    truth = _truth(collection, windows, spec)
    near = _neighbours(rows, source)
    votes = _votes(truth, near)
    several = np.array([len(np.unique(source[on])) > 1 for on in truth.T], bool)
    found, judged = [], []
    for number in np.unique(windows.clip).tolist():
        here = np.flatnonzero(windows.clip == number)
        share = votes[here].mean(axis=0)
        given = np.isin(collection.labels, collection.clips[number].labels)
        if given.sum() == 1 and several[given].all():
            judged.append((int(given.argmax()), int(share.argmax())))
        other = int(np.where(given, -1.0, share).argmax())
        if given.all() or share[other] < LIKELY:
            continue
        at = here[votes[here, other].argmax()]
        like = next(one for one in near[at].tolist() if one >= 0 and truth[one, other])
        found += [
            Doubt(
                collection.clips[number],
                collection.labels[label],
                float(share[label]),
                collection.labels[other],
                float(share[other]),
                float(windows.start[at]),
                (collection.clips[windows.clip[like]], float(windows.start[like])),
            )
            for label in np.flatnonzero(given & several & (share < UNLIKELY)).tolist()
        ]
    found.sort(key=lambda doubt: (doubt.share, -doubt.likely, str(doubt.clip.path)))
    unjudged = tuple(np.array(collection.labels)[~several & truth.any(axis=0)].tolist())
    return Doubts(found, *_accuracy(judged), unjudged)


def _votes(truth: npt.NDArray[np.bool_], near: npt.NDArray[np.int64]) -> Array:
    """Return the share of each window's neighbours with each label, (n, labels)."""
    votes = np.zeros(truth.shape, np.float32)
    for column in near.T:
        votes += truth[column] & (column >= 0)[:, None]
    return np.asarray(votes / np.maximum((near >= 0).sum(axis=1), 1)[:, None], np.float32)


def _numbers(names: list[str]) -> npt.NDArray[np.int64]:
    return np.asarray(np.unique(names, return_inverse=True)[1], np.int64)


def _truth(
    collection: Collection, windows: EmbeddedWindows, spec: WindowSpec
) -> npt.NDArray[np.bool_]:
    truth = np.zeros((len(windows.clip), len(collection.labels)), bool)
    for number in np.unique(windows.clip).tolist():
        here = np.flatnonzero(windows.clip == number)
        clip = collection.clips[number]
        truth[here] = labels(clip, windows.start[here], spec, collection.labels)
    return truth


def _neighbours(rows: Array, source: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the nearest windows of other sources, (n, at most 10), nearest first; -1 for none."""
    count = min(NEIGHBOURS, len(rows) - 1)
    found = np.full((len(rows), count), -1)
    for first in range(0, len(rows), BLOCK):
        some = slice(first, first + BLOCK)
        cosines = rows[some] @ rows.T
        cosines[source[some, None] == source] = -np.inf
        near = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        found[some] = np.where(np.isfinite(np.take_along_axis(cosines, near, axis=1)), near, -1)
    return found


def _accuracy(judged: list[tuple[int, int]]) -> tuple[float, float]:
    if not judged:
        return 0.0, 0.0
    given, voted = np.array(judged).T
    return float((given == voted).mean()), float(np.bincount(given).max() / len(given))


def doubts_csv(doubts: Doubts) -> str:
    """Return the text of a CSV file with a row for each doubt."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("path", "start", "label", "share", "suggested", "suggested_share"))
    for one in doubts.found:
        path = one.clip.path / one.clip.inner if one.clip.inner else one.clip.path
        row = (path, f"{one.clip.start:g}", one.label, f"{one.share:.2f}")
        writer.writerow((*row, one.suggested, f"{one.likely:.2f}"))
    return text.getvalue()


def doubts_page(doubts: Doubts, *, by: str, length: float) -> str:
    """Return a page on which each doubt is heard beside the sound it is like. by: what compares."""
    groups = [
        (
            f"{number}. {one.clip.path.name}: {one.label}, or {one.suggested}?",
            [
                Heard(
                    one.clip,
                    one.second,
                    {
                        "file": one.clip.path.name,
                        "label": f"{one.label}: {one.share:.0%} of its neighbours",
                        "rather": f"{one.suggested}: {one.likely:.0%}",
                        "source": one.clip.source,
                        "at": f"{one.second:.1f} s",
                    },
                ),
                Heard(
                    one.like[0],
                    one.like[1],
                    {
                        "like": one.like[0].path.name,
                        "label": ", ".join(one.like[0].labels),
                        "source": one.like[0].source,
                        "at": f"{one.like[1]:.1f} s",
                    },
                ),
            ],
        )
        for number, one in enumerate(doubts.found[:SHOWN], 1)
    ]
    about = (
        f"{len(doubts.found):,} labels which less than {UNLIKELY:.0%} of the {NEIGHBOURS} most "
        f"similar windows of other sources have, and at least {LIKELY:.0%} another, by {by}. "
        f"Neighbours are right about {doubts.right:.0%} of the recordings with one label; the most "
        f"frequent label is right about {doubts.trivial:.0%}."
    )
    return heard_page("Labels in doubt", about, groups, length=length)
