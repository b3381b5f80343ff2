"""Random forests grown once and scored under all limits (depth, split size) at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.search import kernel
from training.search.scoring import Scores, Truth

UNLIMITED = 2**31 - 1
"""The depth of a tree without a limit."""


@dataclass(frozen=True, kw_only=True)
class Growth:
    """What no cut can change: each of these needs trees of its own."""

    criterion: str
    """gini or entropy."""
    features: int
    """Drawn at each node."""
    draws: int
    """Rows drawn with replacement for each tree; 0: all rows, once."""
    smallest: int = 1
    """Fewest different rows of a leaf."""
    seed: int = 0


class Trees:
    """Rows to grow trees on: float32 (n, features), and a Truth of `columns` labels or classes."""

    def __init__(self, table: npt.NDArray[np.float32], truth: Truth, columns: int) -> None:
        self.ranks = np.zeros((table.shape[1], len(table)), np.int32)
        self.levels = np.zeros(self.ranks.shape)
        for f, values in enumerate(table.T):
            level, rank = np.unique(values, return_inverse=True)
            self.levels[f, : len(level)], self.ranks[f] = level, rank
        self.binary = truth.ndim == 2
        dense = truth if self.binary else truth[:, None] == np.arange(columns)
        self.wide = dense.shape[1]
        self.starts = np.concatenate([[0], np.cumsum(dense.sum(axis=1))]).astype(np.int32)
        self.columns = np.nonzero(dense)[1].astype(np.int32)

    def cut(
        self,
        held: npt.NDArray[np.float32],
        growth: Growth,
        *,
        trees: Sequence[int],
        depths: Sequence[int],
        splits: Sequence[int],
    ) -> Iterator[Scores]:
        """Yield by number of trees the scores of the held-out rows, (n, splits, depths, columns).

        All three ascend. Probabilities are whole multiples of 2**-20 / trees (coarser past 2,047
        trees).
        """
        one = 2 ** min(20, 30 - int(trees[-1]).bit_length())
        limits, cuts = (splits[0], depths[-1]), (np.array(depths), np.array(splits))
        sums = np.zeros((len(held), len(splits), len(depths), self.wide), np.int32)
        rows, settings, scratch, tree = self._memory(growth)
        done = 0
        for wanted in trees:
            for i in range(done, wanted):
                seed = np.uint64(kernel.seed_of(growth.seed, i))
                deepest = kernel.grow(
                    seed,
                    growth.draws,
                    limits,
                    settings,
                    self.ranks,
                    self.levels,
                    rows,
                    scratch,
                    tree,
                    one,
                )
                kernel.walk(held, tree, *cuts, np.zeros(deepest + 1, np.int32), sums)
            done = wanted
            yield np.cumsum(sums, axis=2, dtype=np.int32) / (one * wanted)

    def _memory(self, growth: Growth) -> tuple[Any, ...]:
        """Return the arrays that one thread grows trees in."""
        features, n = self.ranks.shape
        columns, nodes, weight = self.wide, 2 * n, max(n, growth.draws) + 1
        counts = np.arange(1, weight)
        logs = np.concatenate([[0.0], counts * np.log2(counts)])
        rows = (np.zeros(n, np.int32), self.starts, self.columns, logs)
        criterion = kernel.GINI if growth.criterion == "gini" else kernel.ENTROPY
        passes = (int(self.ranks.max()).bit_length() + 7) // 8
        settings = (criterion, self.binary, growth.features, growth.smallest, passes)
        keys = np.zeros((2, n), np.uint64)
        scratch = (
            *keys,
            np.zeros(256, np.int64),
            np.zeros(columns, np.int64),
            np.zeros(features, np.int64),
        )
        whole = [np.zeros(nodes, np.int32) for _ in range(5)]
        tree = (
            whole[0], np.zeros(nodes), *whole[1:], np.zeros(nodes, np.uint64),
            np.zeros((nodes, columns), np.int32), np.zeros(n, np.int32),
            np.zeros(columns, np.int64),
        )  # fmt: skip
        return rows, settings, scratch, tree
