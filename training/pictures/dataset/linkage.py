"""Joins pairs into sets: the larger a set would become, the closer a pair must be.

Joined by every pair (single linkage), pictures that look alike, such as products on white, become
one set by a chain of neighbours, whose ends have little in common.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Index = npt.NDArray[np.int64]
FREE = 4
"""Members of a set up to which every pair joins."""
CHUNK = 8192
"""Pairs taken at a time."""


def linked(count: int, pairs: Index, closeness: npt.NDArray[np.float32], *, least: float) -> Index:
    """Return the number of the set of each of `count` rows, joined by pairs, the closest first.

    pairs: (m, 2). closeness: of each pair, at most 1. A pair that makes a set of n members must be
    1 - (1 - least) x FREE / n close, and at least `least`.
    """
    number, members = np.arange(count), [[row] for row in range(count)]
    size = np.ones(count, np.int64)
    order = np.argsort(-closeness, kind="stable")
    for start in range(0, len(order), CHUNK):
        chosen = order[start : start + CHUNK]
        first, second = number[pairs[chosen]].T
        # Sets only grow: what does not join now will not join later.
        joins = first != second
        joins &= closeness[chosen] >= _needed(size[first] + size[second], least)
        for at in chosen[joins].tolist():
            small, large = sorted(number[pairs[at]].tolist(), key=size.__getitem__)
            grown = size[small] + size[large]
            if small != large and closeness[at] >= _needed(grown, least):
                number[members[small]] = large
                members[large] += members[small]
                size[large] = grown
    return np.asarray(np.unique(number, return_inverse=True)[1], np.int64)


def _needed(members: Index, least: float) -> npt.NDArray[np.float64]:
    return 1 - (1 - least) * FREE / np.maximum(members, FREE)
