"""Sources divided into training, validation and test: a recording is never on two sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from training.data.collection import CollectionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from training.data.collection import Collection

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Split:
    """Which part every source belongs to."""

    part: dict[str, str]
    """Source to one of PARTS."""

    def sources(self, part: str) -> list[str]:
        """Return the sources of a part, sorted."""
        return sorted(source for source, where in self.part.items() if where == part)


def by_source(collection: Collection, shares: Sequence[float], *, seed: int) -> Split:
    """Return a split of the sources whose hours come near `shares`, (train, valid, test), label by label.

    Each label comes into every part where it has sources enough; then the largest sources are placed first, each where
    the hours of its labels are missed most. Raises CollectionError when there are fewer sources than parts.
    """
    wanted = [part for part, share in zip(PARTS, shares, strict=True) if share]
    sources, hours = table(collection)
    if len(sources) < len(wanted):
        raise CollectionError(
            f"{len(sources)} source ({', '.join(sources)}) for {len(wanted)} parts ({', '.join(wanted)}): name where "
            f"the clips come from (SOURCE/LABEL/file, or the column source of a list), or add recordings from elsewhere"
        )
    # Every label counts the same, however rare; the last column stands for the hours as a whole.
    weight = hours / np.maximum(hours.sum(axis=0), 1e-12)
    order = np.lexsort((np.random.default_rng(seed).random(len(sources)), -weight.sum(axis=1)))
    placed = _spread(weight, order, len(wanted))
    lack = np.outer([shares[PARTS.index(part)] for part in wanted], np.ones(weight.shape[1]))
    for index, part in placed.items():
        lack[part] -= weight[index]
    for index in (index for index in order.tolist() if index not in placed):
        placed[index] = int(np.argmax(lack @ weight[index]))
        lack[placed[index]] -= weight[index]
    return Split({source: wanted[placed[number]] for number, source in enumerate(sources)})


def _spread(weight: npt.NDArray[np.float64], order: npt.NDArray[np.int64], parts: int) -> dict[int, int]:
    """Return places that give every part one source of each label where there are enough, rare labels first.

    Training takes the largest, the other parts the smallest.
    """
    placed: dict[int, int] = {}
    for label in np.argsort((weight > 0).sum(axis=0), kind="stable").tolist():
        for part in range(parts):
            if any(where == part and weight[index, label] > 0 for index, where in placed.items()):
                continue
            free = [index for index in order.tolist() if index not in placed and weight[index, label] > 0]
            if free:
                placed[free[0 if part == 0 else -1]] = part
    return placed


def table(collection: Collection) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Return the sources, and the hours of each label in each of them; the last column counts all clips."""
    sources = list(collection.sources)
    hours = np.zeros((len(sources), len(collection.labels) + 1))
    row = {source: number for number, source in enumerate(sources)}
    column = {label: number for number, label in enumerate(collection.labels)}
    for clip in collection.clips:
        hours[row[clip.source], -1] += clip.seconds / 3600
        for label, seconds in clip.sounding(clip.start, clip.end).items():
            hours[row[clip.source], column[label]] += seconds / 3600
    return sources, hours


def counts(collection: Collection, split: Split) -> list[dict[str, float | int | str]]:
    """Return one row per label, and one for all, with the clips and the hours in each part."""
    rows: list[dict[str, float | int | str]] = []
    for label in (*collection.labels, ""):
        row: dict[str, float | int | str] = {"label": label or "all"}
        for part in PARTS:
            inside = [clip for clip in collection.clips if split.part[clip.source] == part]
            sounding = [clip for clip in inside if not label or label in clip.labels]
            seconds = (c.sounding(c.start, c.end)[label] if label else c.seconds for c in sounding)
            row |= {f"{part} clips": len(sounding), f"{part} hours": sum(seconds) / 3600}
        rows.append(row)
    return rows


def missing(collection: Collection, split: Split) -> dict[str, list[str]]:
    """Return by part the labels that have no clip in it; a part without any source is left out."""
    found = {part: set[str]() for part in PARTS if split.sources(part)}
    for clip in collection.clips:
        found[split.part[clip.source]].update(clip.labels)
    return {part: [label for label in collection.labels if label not in there] for part, there in found.items()}


def check_sides(groups: npt.ArrayLike, parts: npt.ArrayLike, sources: Sequence[str]) -> None:
    """Raise CollectionError when windows of one source lie in two parts. groups, parts: one number per window."""
    sides = np.unique(np.stack([np.asarray(groups, np.int64), np.asarray(parts, np.int64)], axis=1), axis=0)
    twice = np.flatnonzero(np.bincount(sides[:, 0], minlength=len(sources)) > 1)
    if len(twice):
        where = _named(sides[sides[:, 0] == twice[0], 1])
        raise CollectionError(f"windows of source {sources[twice[0]]!r} are on two sides: {where}")


def _named(parts: Iterable[int]) -> str:
    return " and ".join(PARTS[int(part)] for part in parts)
