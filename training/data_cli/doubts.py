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
"""A label is in doubt where less than the first share of them has it, and the second another.

Where other sources have fewer windows of the label than are asked, the first is of these.
"""
SHOWN = 40
"""Doubts on the page; the CSV file has all."""
BLOCK = 256
ONE_SOURCE = (
    "--doubts compares recordings with those of other sources, and all are of one: name where they "
    "come from (SOURCE/LABEL/file, or the column source of a list)"
)


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
    """The window with the most neighbours that have the suggested label begins here."""
    like: tuple[Clip, float]
    """The nearest window with the suggested label: its clip and where it begins."""


@dataclass(frozen=True)
class Doubts:
    """The doubts, the least likely label first, and what to think of them."""

    found: list[Doubt]
    right: float
    """Share of clips whose label more of the neighbours have than have any other, or none."""
    trivial: float
    """The same for the most frequent label."""
    judged: int
    """Clips of one label, which another source has too: right and trivial are shares of these."""
    unjudged: tuple[str, ...]
    """Labels of one source, which no other can confirm."""

    @property
    def believed(self) -> bool:
        """Whether neighbours are right more often than the most frequent label is."""
        return self.right > self.trivial


def find_doubts(
    collection: Collection, windows: EmbeddedWindows, rows: Array, spec: WindowSpec
) -> Doubts:
    """Return the labels that neighbours from other sources do not have.

    rows: of the windows, of length 1. Raises CollectionError for a collection of one source.
    """
    source = _numbers([clip.source for clip in collection.clips])[windows.clip]
    if len(np.unique(source)) < 2:
        raise CollectionError(ONE_SOURCE)
    truth = _truth(collection, windows, spec)
    near = _neighbours(rows, source)
    asked = _Asked(truth, near, _votes(truth, near), source)
    several = np.array([len(np.unique(source[on])) > 1 for on in truth.T], bool)
    found, judged = [], []
    edges = np.flatnonzero(np.diff(windows.clip, prepend=-1))
    for here in np.split(np.arange(len(windows.clip)), edges[1:]):
        clip = collection.clips[windows.clip[here[0]]]
        given = np.isin(collection.labels, clip.labels)
        if given.sum() == 1 and several[given].all() and truth[here][:, given].any():
            label = int(given.argmax())
            judged.append((label, asked.voted(here[truth[here, label]])))
        for label in np.flatnonzero(given & several).tolist():
            of_label = here[truth[here, label]]
            if len(of_label) and (doubt := asked.doubted(of_label, label, given)):
                other, at, like = doubt
                found.append(
                    Doubt(
                        clip,
                        collection.labels[label],
                        float(asked.votes[of_label, label].mean()),
                        collection.labels[other],
                        float(asked.votes[of_label, other].mean()),
                        float(windows.start[at]),
                        (collection.clips[windows.clip[like]], float(windows.start[like])),
                    )
                )
    found.sort(key=lambda doubt: (doubt.share, -doubt.likely, str(doubt.clip.path)))
    unjudged = tuple(np.array(collection.labels)[~several & truth.any(axis=0)].tolist())
    return Doubts(found, *_accuracy(judged), len(judged), unjudged)


@dataclass(frozen=True)
class _Asked:
    """Windows, and what their neighbours from other sources are called."""

    truth: npt.NDArray[np.bool_]
    """(n, labels)."""
    near: npt.NDArray[np.int64]
    """(n, neighbours), nearest first; -1 for none."""
    votes: Array
    """Share of the neighbours with each label, (n, labels)."""
    source: npt.NDArray[np.int64]
    """(n,)."""

    def voted(self, here: npt.NDArray[np.int64]) -> int:
        """Return the label that most neighbours of some windows have, -1 where most have none.

        Of labels that as many have, the one whose neighbours are nearer.
        """
        near = [column[column >= 0] for column in self.near[here].T]
        counts = np.array([self.truth[column].sum(axis=0) for column in near])
        none = sum(np.count_nonzero(~self.truth[column].any(axis=1)) for column in near)
        count, nearer = counts.sum(axis=0), counts.cumsum(axis=0).sum(axis=0)
        best = int(np.lexsort((nearer, count))[-1])
        return best if count[best] > none else -1

    def doubted(
        self, here: npt.NDArray[np.int64], label: int, given: npt.NDArray[np.bool_]
    ) -> tuple[int, int, int] | None:
        """Return another label, the window most like it and its nearest one; None: no doubt.

        here: windows with the label. given: the labels of their clip.
        """
        share = self.votes[here].mean(axis=0)
        other = int(np.where(given, -1.0, share).argmax())
        if given.all() or share[other] < LIKELY or share[label] >= UNLIKELY:
            return None
        elsewhere = np.count_nonzero(self.truth[self.source != self.source[here[0]], label])
        neighbours = np.count_nonzero(self.near[here[0]] >= 0)
        if share[label] >= UNLIKELY * min(1.0, elsewhere / neighbours):
            return None
        at = int(here[self.votes[here, other].argmax()])
        like = next(one for one in self.near[at].tolist() if one >= 0 and self.truth[one, other])
        return other, at, like


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
        near = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        near.sort(axis=1)
        order = np.argsort(-np.take_along_axis(cosines, near, axis=1), axis=1, kind="stable")
        near = np.take_along_axis(near, order, axis=1)
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
        f"similar windows of other sources have (of fewer, where other sources have fewer), and at "
        f"least {LIKELY:.0%} another, by {by}. "
        f"Neighbours are right about {doubts.right:.0%} of the recordings with one label; the most "
        f"frequent label is right about {doubts.trivial:.0%}."
    )
    return heard_page("Labels in doubt", about, groups, length=length)
