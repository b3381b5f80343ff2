"""Joins pairs into sets: the larger a set would become, the closer a pair must be.

Joined by every pair (single linkage), pictures that look alike, such as products on white, become
one set by a chain of neighbours, whose ends have little in common.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]
Closeness = npt.NDArray[np.float32]
FREE = 4
"""Members of a set up to which every pair joins."""
CHUNK = 8192
"""Pairs taken at a time."""


class Linkage:
    """Sets of rows that grow by pairs, of which the closest must be given first.

    A pair that makes a set of n members must be 1 - (1 - least) x FREE / n close, and at least
    `least`.
    """

    def __init__(self, count: int, *, least: float) -> None:
        self.least, self._number = least, np.arange(count)
        self._members = [[row] for row in range(count)]
        self._size = np.ones(count, np.int64)

    def may_join(self, pairs: Index, closeness: Closeness) -> npt.NDArray[np.bool_]:
        """Return which pairs (m, 2) would join two sets now; one that was given never does again.

        closeness: of each pair, at most 1. Sets only grow: what does not join now will not later.
        """
        first, second = self._number[pairs.T]
        wanted = self._needed(self._size[first] + self._size[second])
        return np.asarray((first != second) & (closeness >= wanted))

    def join(self, pairs: Index, closeness: Closeness) -> None:
        """Join sets by pairs (m, 2), the closest first."""
        order = np.argsort(-closeness, kind="stable")
        for start in range(0, len(order), CHUNK):
            chosen = order[start : start + CHUNK]
            joins = self.may_join(pairs[chosen], closeness[chosen])
            for at in chosen[joins].tolist():
                one, other = self._number[pairs[at]].tolist()
                self._join(one, other, closeness[at])

    def sets(self) -> Index:
        """Return the number of the set of each row."""
        return np.asarray(np.unique(self._number, return_inverse=True)[1], np.int64)

    def _join(self, one: int, other: int, closeness: np.float32) -> None:
        small, large = sorted((one, other), key=self._size.__getitem__)
        grown = self._size[small] + self._size[large]
        if small != large and closeness >= self._needed(grown):
            self._number[self._members[small]] = large
            self._members[large] += self._members[small]
            self._size[large] = grown

    def _needed(self, members: Index) -> npt.NDArray[np.float64]:
        return 1 - (1 - self.least) * FREE / np.maximum(members, FREE)
