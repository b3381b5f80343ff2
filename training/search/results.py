"""The table of a search: the columns of scikit-learn's `cv_results_`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def table(
    combinations: list[dict[str, Any]],
    *,
    test: Numbers,
    fit_s: Numbers,
    score_s: Numbers,
    train: Numbers | None = None,
) -> dict[str, Any]:
    """Return `cv_results_` of combinations and (combinations, folds) arrays, as scikit-learn's."""
    columns: dict[str, Any] = {}
    for name, seconds in (("fit_time", fit_s), ("score_time", score_s)):
        columns |= {f"mean_{name}": seconds.mean(axis=1), f"std_{name}": seconds.std(axis=1)}
    columns |= {f"param_{key}": _values(key, combinations) for key in _keys(combinations)}
    columns["params"] = combinations
    columns |= _scores("test", test) | {"rank_test_score": ranks(test.mean(axis=1))}
    return columns | (_scores("train", train) if train is not None else {})


def ranks(means: Numbers) -> npt.NDArray[np.int32]:
    """Return 1 for the best mean; equal ones share the smallest rank; NaN comes last."""
    comparable = np.where(np.isnan(means), -np.inf, means)
    _, place = np.unique(-comparable, return_inverse=True)
    first = np.concatenate([[0], np.cumsum(np.bincount(place))[:-1]])
    return (first[place] + 1).astype(np.int32)


def _scores(side: str, scores: Numbers) -> dict[str, Any]:
    folds: dict[str, Any] = {f"split{i}_{side}_score": scores[:, i] for i in range(scores.shape[1])}
    return folds | {
        f"mean_{side}_score": scores.mean(axis=1),
        f"std_{side}_score": scores.std(axis=1),
    }


def _keys(combinations: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for combination in combinations for key in combination))


def _values(key: str, combinations: list[dict[str, Any]]) -> Any:
    """Return one parameter as a masked array; a combination without it is masked."""
    values = np.ma.MaskedArray(np.empty(len(combinations), dtype=object), mask=True)
    for i, combination in enumerate(combinations):
        if key in combination:
            values[i] = combination[key]
    return values
