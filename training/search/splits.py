"""Folds by row or by source (no recording on both sides), with clear errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import TimbreError

Index: TypeAlias = npt.NDArray[np.int64]
Fold: TypeAlias = tuple[Index, Index]


class SearchError(TimbreError, ValueError):
    """A search cannot be carried out; the message has a remedy."""

    title = "Search rejected"


class BySource:
    """Folds by source, for any `cv=` of scikit-learn; `groups` are the sources, one per row.

    folds: None leaves out one source at a time; else sources are distributed over so many folds of
    about equal size. A source "a+b" (a mixture of two) never trains when a or b is held out, and
    tests only when both are.
    """

    def __init__(self, folds: int | None = None) -> None:
        if folds is not None and folds < 2:
            raise SearchError(f"folds={folds}: two or more are needed")
        self.folds = folds

    def __repr__(self) -> str:
        return f"BySource(folds={self.folds})"

    def split(
        self,
        X: Any,  # noqa: ARG002, N803
        y: Any = None,  # noqa: ARG002
        groups: Any = None,
    ) -> Iterator[Fold]:
        """Yield training and test rows. Raises SearchError with fewer sources than folds."""
        names = self._names(groups)
        parts = [frozenset(str(name).split("+")) for name in names.tolist()]
        for held in self._held(names):
            touched = np.array([bool(part & held) for part in parts])
            pure = np.array([part <= held for part in parts])
            yield np.flatnonzero(~touched), np.flatnonzero(pure)

    def get_n_splits(
        self,
        X: Any = None,  # noqa: ARG002, N803
        y: Any = None,  # noqa: ARG002
        groups: Any = None,
    ) -> int:
        """Return the number of folds."""
        return len(self._held(self._names(groups)))

    @staticmethod
    def _names(groups: Any) -> npt.NDArray[Any]:
        if groups is None:
            raise SearchError("splitting by source needs the sources: fit(X, y, groups=sources)")
        return np.asarray(groups)

    def _held(self, names: npt.NDArray[Any]) -> list[frozenset[str]]:
        """Return the sources of each fold: the largest source goes to the emptiest fold."""
        found, counts = np.unique(
            names[["+" not in str(name) for name in names.tolist()]], return_counts=True
        )
        folds = self.folds or len(found)
        if len(found) < max(2, folds):
            raise SearchError(
                f"{len(found)} source{'s' * (len(found) != 1)} cannot make {max(2, folds)} folds "
                f"by source: "
                "add recordings of another source, or split by row (then scores flatter the model)"
            )
        held: list[list[str]] = [[] for _ in range(folds)]
        filled = [0] * folds
        for i in np.argsort(-counts, kind="stable").tolist():
            emptiest = int(np.argmin(filled))
            held[emptiest].append(str(found[i]))
            filled[emptiest] += int(counts[i])
        return [frozenset(each) for each in held]


def folds_of(
    cv: Any, rows: Any, labels: npt.NDArray[Any], groups: Any, *, classifier: bool = True
) -> list[Fold]:
    """Return the folds of `cv`, anything that scikit-learn takes.

    Raises SearchError when the rows cannot be split so.
    """
    from sklearn.model_selection import check_cv

    try:
        folds = list(check_cv(cv, labels, classifier=classifier).split(rows, labels, groups))
    except SearchError:
        raise
    except ValueError as error:
        raise SearchError(
            f"{len(labels)} rows cannot be split: {error}; use fewer folds or more rows"
        ) from error
    empty = next(
        (i for i, (train, test) in enumerate(folds) if not len(train) or not len(test)), None
    )
    if empty is not None:
        raise SearchError(
            f"fold {empty} of {len(folds)} has no training or no test rows; use fewer folds"
        )
    return folds


def check_grid(grid: Any, known: Sequence[str], *, hint: str) -> list[dict[str, Any]]:
    """Return every combination of a grid. Raises SearchError for an empty or unknown one."""
    from sklearn.model_selection import ParameterGrid

    parts = [grid] if isinstance(grid, dict) else list(grid)
    for part in parts:
        for key, values in part.items():
            if key not in known:
                raise SearchError(f"unknown grid key {key!r}; {hint}")
            if isinstance(values, str) or not hasattr(values, "__len__") or not len(values):
                raise SearchError(
                    f"grid key {key!r}: a list of at least one value is needed, got {values!r}"
                )
    if not any(parts):
        raise SearchError("the grid is empty: give at least one key with its values")
    return list(ParameterGrid(parts))
