"""A forest's hyper-parameters as limits on grown trees: trees needed, leaves, scores."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from training.search.forest import UNLIMITED, Growth, Trees
from training.search.scoring import Scorer, Truth
from training.search.splits import Fold, SearchError

PATH = ("n_estimators", "max_features", "max_depth", "criterion", "min_samples_split")
"""The axes of a path search."""
_ALTERNATIVE = "use ResumableGridSearchCV, timbre search --method grid"
_SUMS_BYTES = 2**28
_UNSET: dict[str, tuple[Any, ...]] = {
    "class_weight": (None,), "max_leaf_nodes": (None,), "min_impurity_decrease": (0,),
    "min_weight_fraction_leaf": (0,), "ccp_alpha": (0,), "monotonic_cst": (None,),
}  # fmt: skip


class Limits(NamedTuple):
    """One combination in one fold."""

    growth: Growth
    trees: int
    depth: int
    split: int


class FoldData(NamedTuple):
    """The two sides of a fold as a forest sees them: float32 (n, features) and a Truth each."""

    train: npt.NDArray[np.float32]
    truth: Truth
    held: npt.NDArray[np.float32]
    held_truth: Truth


class Scored(NamedTuple):
    """Scores of some limits in a fold, and the share of each in the seconds of fit and score."""

    fold: int
    scores: dict[Limits, float]
    fit_s: float
    score_s: float


def forest_of(estimator: Any) -> tuple[Any, str]:
    """Return the forest of an estimator and the prefix of its parameters.

    Raises SearchError for another estimator, or one with settings that have no path.
    """
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import Pipeline

    prefix = ""
    while isinstance(estimator, Pipeline):
        name, estimator = estimator.steps[-1]
        prefix += f"{name}__"
    if type(estimator) is not RandomForestClassifier:
        kind = type(estimator).__name__
        raise SearchError(
            f"a path search takes a RandomForestClassifier, not {kind}: {_ALTERNATIVE}"
        )
    for key, allowed in _UNSET.items():
        if getattr(estimator, key, allowed[0]) not in allowed:
            raise SearchError(
                f"{key}={getattr(estimator, key)!r} is not for a path search: {_ALTERNATIVE}"
            )
    return estimator, prefix


def fold_data(estimator: Any, rows: npt.NDArray[np.float64], truth: Truth, fold: Fold) -> FoldData:
    """Return a fold, with the steps before the forest fitted on its training side."""
    from sklearn.base import clone
    from sklearn.pipeline import Pipeline

    train, held = rows[fold[0]], rows[fold[1]]
    while isinstance(estimator, Pipeline):
        before = clone(estimator[:-1])
        try:
            train, held = before.fit_transform(train), before.transform(held)
        except ValueError as error:
            steps = ", ".join(name for name, _ in before.steps)
            raise SearchError(
                f"{steps} cannot be fitted on {len(train)} rows of {train.shape[1]}: {error}"
            ) from error
        estimator = estimator.steps[-1][1]
    return FoldData(
        np.asarray(train, np.float32), truth[fold[0]], np.asarray(held, np.float32), truth[fold[1]]
    )


def resolve(forest: Any, values: dict[str, Any], shape: tuple[int, ...], seed: int) -> Limits:
    """Return the limits of a combination for a table of (n, features).

    Raises SearchError for a value out of range.
    """
    n, features = shape
    given = {key: values.get(key, getattr(forest, key)) for key in PATH}
    criterion = {"log_loss": "entropy"}.get(given["criterion"], given["criterion"])
    if criterion not in {"gini", "entropy"}:
        raise SearchError(
            f"criterion={criterion!r}: gini or entropy (also called log_loss) are known"
        )
    growth = Growth(
        criterion=criterion,
        features=_features(given["max_features"], features),
        draws=_share(forest.max_samples or n, n) if forest.bootstrap else 0,
        smallest=_share(forest.min_samples_leaf, n, up=True),
        seed=seed,
    )
    depth = UNLIMITED if given["max_depth"] is None else given["max_depth"]
    split = max(2, _share(given["min_samples_split"], n, up=True))
    for key, value in (("n_estimators", given["n_estimators"]), ("max_depth", depth)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise SearchError(f"{key}={value!r}: a whole number of at least 1 is needed")
    return Limits(growth, int(given["n_estimators"]), min(int(depth), UNLIMITED), split)


def _features(value: Any, features: int) -> int:
    """Return how many features a node draws; the old auto of classifiers was sqrt."""
    named = {
        "auto": math.sqrt(features),
        "sqrt": math.sqrt(features),
        "log2": math.log2(features),
        None: features,
    }
    if isinstance(value, str | None):
        if value not in named:
            raise SearchError(
                f"max_features={value!r}: sqrt, log2, auto, None, a count or a share are known"
            )
        return max(1, int(named[value]))
    count = _share(value, features)
    if count > features:
        raise SearchError(f"max_features={value}: there are {features}")
    return count


def _share(value: float, n: int, *, up: bool = False) -> int:
    """Return a count as it is, and a share of n (a float) as a count."""
    if value <= 0:
        raise SearchError(f"{value!r} must be a count or a share above 0")
    if isinstance(value, int | np.integer):
        return int(value)
    return max(1, math.ceil(value * n) if up else int(value * n))


def accepted(values: dict[str, Any]) -> dict[str, Any]:
    """Return parameters as scikit-learn takes them today."""
    return {
        key: "sqrt" if key.endswith("max_features") and v == "auto" else v
        for key, v in values.items()
    }


def parts(cuts: Sequence[Limits], held: int, columns: int) -> list[list[Limits]]:
    """Return the different limits grouped by the trees they need, in parts that fit memory."""
    grouped: dict[Growth, dict[Limits, None]] = {}
    for cut in cuts:
        grouped.setdefault(cut.growth, {})[cut] = None
    found = []
    for group in grouped.values():
        depths = sorted({cut.depth for cut in group})
        one_depth = 4 * held * columns * len({cut.split for cut in group})
        step = max(1, _SUMS_BYTES // one_depth)
        chunks = [set(depths[i : i + step]) for i in range(0, len(depths), step)]
        found += [[cut for cut in group if cut.depth in chunk] for chunk in chunks]
    return found


def evaluate(
    fold: int, side: FoldData, cuts: Sequence[Limits], score: Scorer, columns: int
) -> Scored:
    """Return the scores of cuts that need the same trees."""
    began = time.perf_counter()
    wanted = set(cuts)
    trees = sorted({cut.trees for cut in cuts})
    depths, splits = sorted({cut.depth for cut in cuts}), sorted({cut.split for cut in cuts})
    growth, scores, score_s = cuts[0].growth, {}, 0.0
    forest = Trees(side.train, side.truth, columns)
    found = forest.cut(side.held, growth, trees=trees, depths=depths, splits=splits)
    for count, probabilities in zip(trees, found, strict=True):
        scoring = time.perf_counter()
        for s, split in enumerate(splits):
            for d, depth in enumerate(depths):
                cut = Limits(growth, count, depth, split)
                if cut in wanted:
                    scores[cut] = float(score(side.held_truth, probabilities[:, s, d]))
        score_s += time.perf_counter() - scoring
    fit_s = time.perf_counter() - began - score_s
    return Scored(fold, scores, fit_s / len(scores), score_s / len(scores))
