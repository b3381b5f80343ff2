"""Folds of a cross-validation: no source and no near-duplicates on both sides."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Sequence

Labels = npt.NDArray[np.int64]


class Parts(NamedTuple):
    """The rows to fit on and those left out."""

    train: npt.NDArray[np.int64]
    test: npt.NDArray[np.int64]


def folds(
    labels: Labels,
    sources: Sequence[str],
    groups: Labels | None = None,
    *,
    count: int,
    most_sources: int,
    seed: int,
) -> list[Parts]:
    """Return the folds; none where all rows are of one group.

    sources: of each row; up to `most_sources` are left out one by one, more in `count` folds, and
    where fewer than two are known, groups are. groups: numbers of each row, equal for
    near-duplicates and pictures of one thing; without them each row is its own.
    """
    from sklearn.model_selection import LeaveOneGroupOut, StratifiedGroupKFold

    groups = np.arange(len(labels)) if groups is None else groups
    by_group, known = _by_group(labels, groups, count, seed), set(sources)
    if len(known) < 2:
        return by_group
    if np.bincount(labels).max() < 2:
        return []
    if len(known) <= most_sources:
        found: Any = LeaveOneGroupOut().split(labels, labels, list(sources))
    else:
        numbers = np.unique(np.array(sources), return_inverse=True)[1]
        most = _possible(labels, numbers, count)
        splitter = StratifiedGroupKFold(most, shuffle=True, random_state=seed)
        found = splitter.split(labels, labels, numbers)
    apart = [
        _apart(Parts(train, test), labels, groups, by_group[number % len(by_group)])
        if by_group
        else Parts(train, test)
        for number, (train, test) in enumerate(found)
    ]
    return [one for one in apart if len(one.train) and len(one.test)]


def learnt(labels: Labels, parts: Sequence[Parts]) -> npt.NDArray[np.bool_]:
    """Return which rows are left out by a fold that has their class to learn from."""
    found = np.zeros(len(labels), bool)
    for train, test in parts:
        found[test] = np.isin(labels[test], labels[train])
    return found


def _by_group(labels: Labels, groups: Labels, count: int, seed: int) -> list[Parts]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    if len(np.unique(groups)) < 2 or np.bincount(labels).max() < 2:
        return []
    count = _possible(labels, groups, count)
    with warnings.catch_warnings():
        # Of a class with a single row: it is learnt in all folds but one, and judged in none.
        warnings.filterwarnings("ignore", "The least populated class")
        if len(np.unique(groups)) == len(groups):
            whole = StratifiedKFold(count, shuffle=True, random_state=seed)
            found = list(whole.split(labels, labels))
        else:
            grouped = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
            found = list(grouped.split(labels, labels, groups))
    return [Parts(train, test) for train, test in found if len(train) and len(test)]


def _possible(labels: Labels, groups: Labels, count: int) -> int:
    """Return how many folds there are: the groups of the smallest class at most, 2 at least."""
    pairs = np.unique(np.stack([labels, groups], axis=1), axis=0)
    return max(2, min(count, int(np.bincount(pairs[:, 0])[np.unique(labels)].min())))


def _apart(parts: Parts, labels: Labels, groups: Labels, some: Parts) -> Parts:
    """Return the parts without what is in both, as near-duplicates of two sources are."""
    train, test = parts
    rest = train[~np.isin(groups[train], groups[test])]
    if np.isin(np.intersect1d(labels[train], labels[test]), labels[rest]).all():
        return Parts(rest, test)
    # Things that are in every source: some of them are left out with the source.
    return Parts(np.setdiff1d(train, some.test), np.intersect1d(test, some.test))
