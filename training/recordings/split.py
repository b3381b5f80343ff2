"""Sources divided into training, validation and test: a recording is never on two sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from training.recordings.collection import CollectionError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from training.recordings.collection import Collection

PARTS = ("train", "valid", "test")
Index: TypeAlias = npt.NDArray[np.int64]
Shares: TypeAlias = npt.NDArray[np.float64]
"""Of the hours of each label (and, last, of all)."""
ROUNDS = 10
TRIES = 6_000
"""Swaps in one round, at most; where there are more sources than this, the beginning is good
enough."""


@dataclass(frozen=True)
class Split:
    """Part by source."""

    part: dict[str, str]
    """Source to one of PARTS."""

    def sources(self, part: str) -> list[str]:
        """Return the sources of a part, sorted."""
        return sorted(source for source, where in self.part.items() if where == part)


def by_source(collection: Collection, shares: Sequence[float], *, seed: int) -> Split:
    """Return a split of the sources near `shares` of hours (train, valid, test), by label.

    Each part has a source with labels and, if it can be, each label, training first. Raises
    CollectionError when there are too few of those.
    """
    wanted = [part for part, share in zip(PARTS, shares, strict=True) if share]
    sources, hours = table(collection)
    labelled = hours[:, :-1].sum(axis=1) > 0
    named = [source for source, sounds in zip(sources, labelled, strict=True) if sounds]
    if len(named) < len(wanted):
        raise CollectionError(
            f"{len(named)} source ({', '.join(named)}) for {len(wanted)} parts "
            f"({', '.join(wanted)}): name where the clips come from (SOURCE/LABEL/file, or the "
            f"column source of a list), or add recordings from elsewhere{_fewer(len(named))}"
        )
    return divide(collection, shares, seed=seed)


def _fewer(sources: int) -> str:
    """Return what can be done with so few sources."""
    if not sources:
        return ""
    one = "; split.shares=[0.5,0,0.5] tests on one of two sources" if sources == 2 else ""
    return f"; split.shares=[1,0,0] trains on all there is, with thresholds of 0.5 and no test{one}"


def divide(collection: Collection, shares: Sequence[float], *, seed: int) -> Split:
    """Return a split of the sources near `shares`, whether or not each part gets one."""
    wanted = [part for part, share in zip(PARTS, shares, strict=True) if share]
    sources, hours = table(collection)
    labelled: npt.NDArray[np.bool_] = hours[:, :-1].sum(axis=1) > 0
    # Every label counts the same, however rare, and so do hours without any, and the hours as a
    # whole.
    unlabelled = dict.fromkeys(sources, 0.0)
    for clip in collection.clips:
        unlabelled[clip.source] += 0.0 if clip.labels else clip.seconds / 3600
    hours = np.column_stack([hours, list(unlabelled.values())])
    part, rng = np.full(len(sources), -1), np.random.default_rng(seed)
    # Apart, for no number of sources without labels makes up for one with some, in any part.
    for group in (labelled, ~labelled):
        if not group.any():
            continue
        weight = hours[group] / np.maximum(hours[group].sum(axis=0), 1e-12)
        part[group] = _assign(weight, np.array([shares[PARTS.index(name)] for name in wanted]), rng)
    return Split(
        {source: wanted[where] for source, where in zip(sources, part.tolist(), strict=True)}
    )


def _assign(weight: Shares, shares: Shares, rng: np.random.Generator) -> Index:
    """Return a part per row: a greedy assignment, large rows first, then moves and swaps."""
    order = np.argsort(-weight.sum(axis=1) * rng.uniform(0.7, 1.0, len(weight)))
    part, held = np.full(len(weight), -1), np.zeros((len(shares), weight.shape[1]))
    for left, row in zip(range(len(order), 0, -1), order.tolist(), strict=True):
        need = (shares[:, None] - held) @ weight[row]
        empty = ~np.isin(np.arange(len(shares)), part)
        part[row] = int(np.argmax(np.where(empty, need, -np.inf) if left <= empty.sum() else need))
        held[part[row]] += weight[row]
    # A label can be in every part only if it has a source for each.
    everywhere = (weight > 0).sum(axis=0) >= len(shares)
    for _ in range(ROUNDS):
        tried = [
            _better(part, row, held, weight, shares, everywhere, rng)
            for row in rng.permutation(len(part)).tolist()
        ]
        if not any(tried):
            break
    return part


def _better(
    part: Index, row: int, held: Shares, weight: Shares, shares: Shares,
    everywhere: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> bool:  # fmt: skip
    """Move a row, or swap it with another, where that lowers the cost; return whether it did."""
    cost = _cost(held, shares, everywhere)
    others = rng.permutation(len(part))[: TRIES // len(part)].tolist()
    moves = [[(row, where)] for where in range(len(shares)) if (part == part[row]).sum() > 1]
    swaps = [[(row, int(part[other])), (other, int(part[row]))] for other in others]
    for changes in moves + swaps:
        after = held.copy()
        for which, where in changes:
            after[part[which]] -= weight[which]
            after[where] += weight[which]
        if _cost(after, shares, everywhere) < cost - 1e-9:
            held[:] = after
            for which, where in changes:
                part[which] = where
            return True
    return False


def _cost(held: Shares, shares: Shares, everywhere: npt.NDArray[np.bool_]) -> float:
    """Return the distance of the parts from their shares, plus penalties for missing labels."""
    lacking = held < 1e-9
    return float(
        np.abs(held - shares[:, None]).sum() + (lacking & everywhere).sum() + 3 * lacking[0].sum()
    )


def table(collection: Collection) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Return the sources and the hours of each label in each; the last column: all clips."""
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
    return {
        part: [label for label in collection.labels if label not in there]
        for part, there in found.items()
    }


def check_sides(groups: npt.ArrayLike, parts: npt.ArrayLike, sources: Sequence[str]) -> None:
    """Raise CollectionError when windows of one source are in two parts.

    groups, parts: one number per window.
    """
    sides = np.unique(
        np.stack([np.asarray(groups, np.int64), np.asarray(parts, np.int64)], axis=1), axis=0
    )
    twice = np.flatnonzero(np.bincount(sides[:, 0], minlength=len(sources)) > 1)
    if len(twice):
        where = _named(sides[sides[:, 0] == twice[0], 1])
        raise CollectionError(f"windows of source {sources[twice[0]]!r} are on two sides: {where}")


def _named(parts: Iterable[int]) -> str:
    return " and ".join(PARTS[int(part)] for part in parts)
