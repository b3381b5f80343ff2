"""Forest path search: every combination of a forest's limits from a few fully grown forests."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone

from training.search import results
from training.search.limits import (
    PATH,
    FoldData,
    Limits,
    accepted,
    evaluate,
    fold_data,
    forest_of,
    parts,
    resolve,
)
from training.search.scoring import Scorer, Scores, Truth, encode, probabilities, scorer
from training.search.splits import Fold, SearchError, check_grid, folds_of


class ForestPathSearchCV(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """GridSearchCV over a random forest's size, features, depth, criterion and split limits.

    For each fold, criterion and number of features, one forest of the largest n_estimators is grown
    in compiled code without the limits, and every held-out row walks down each tree once: the first
    node at max_depth, or of fewer rows than min_samples_split, is the leaf it would have had.
    Values of max_features that mean the same number (sqrt, log2 and the old auto, which is sqrt,
    are all 4 of 16) are done once.

    What is exact: all three path axes. A node's random choices depend on the tree's seed and the
    node's path only, so a cut tree is, bit for bit, the tree that grows under those limits;
    n_estimators is a prefix; a row of the table is what a search over that row alone gives. What is
    equal in distribution only: these forests and scikit-learn's of the same seed, which draws all
    its choices from one stream, in the order of growth. So scores differ from GridSearchCV's as
    those of two random states do. The winner is therefore refitted, and with `confirm` scored on
    every fold, as a plain scikit-learn forest.

    estimator: a RandomForestClassifier, or a Pipeline that ends in one (its other steps are fitted
    in each fold; keys of the grid then have the prefix that set_params asks for). Kept: bootstrap,
    max_samples, min_samples_leaf, random_state. Rejected: class weights, max_leaf_nodes, impurity
    thresholds, pruning. param_grid, cv: as GridSearchCV's. scoring: a name of
    `training.search.scoring.NAMED`, or a function of (truth, probabilities); None is accuracy. y:
    classes (n,), or labels 0 and 1 (n, labels). n_jobs: threads. progress: called with (tasks done,
    tasks), a fold to confirm counted as one.

    After `fit`: cv_results_, best_index_, best_score_, best_params_ (auto is given as sqrt, which
    scikit-learn still takes), n_splits_, search_time_ (s); with refit best_estimator_, refit_time_
    (s); with confirm confirmed_scores_ (folds,), of the winner as a plain scikit-learn forest, and
    confirm_time_ (s). mean_fit_time is the combination's share of its forest.
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: str | Scorer | None = None,
        cv: Any = None,
        n_jobs: int | None = None,
        refit: bool = True,
        confirm: bool = True,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.scoring = scoring
        self.cv = cv
        self.n_jobs = n_jobs
        self.refit = refit
        self.confirm = confirm
        self.progress = progress

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> ForestPathSearchCV:  # noqa: N803
        """Search, and refit the best. X: (n, features); groups: (n,), for a `cv` by source.

        Raises SearchError for a grid, an estimator, labels or folds that cannot be searched.
        """
        from sklearn.utils.validation import check_array

        began = time.perf_counter()
        rows = check_array(X, dtype=np.float64)
        truth, self.classes_ = encode(y)
        if len(truth) != len(rows):
            raise SearchError(f"{len(rows)} rows, but labels of {len(truth)}")
        folds = folds_of(self.cv, rows, np.asarray(y), groups)
        tasks = self._search(rows, truth, folds)
        self.search_time_ = time.perf_counter() - began
        self.n_features_in_, self.n_splits_ = rows.shape[1], len(folds)
        if self.confirm:
            began = time.perf_counter()
            self.confirmed_scores_ = self._confirm(rows, np.asarray(y), truth, folds, tasks)
            self.confirm_time_ = time.perf_counter() - began
        if self.refit:
            began = time.perf_counter()
            self.best_estimator_ = self._plain().fit(rows, np.asarray(y))
            self.refit_time_ = time.perf_counter() - began
        return self

    def _search(self, rows: Any, truth: Truth, folds: list[Fold]) -> int:
        """Search, and return the number of tasks."""
        from joblib import Parallel, delayed

        columns = truth.shape[1] if truth.ndim == 2 else len(self.classes_)
        data = [fold_data(self.estimator, rows, truth, fold) for fold in folds]
        combinations, plans = self._plan(data)
        tasks = [
            (i, part)
            for i, plan in enumerate(plans)
            for part in parts(plan, len(folds[i][1]), columns)
        ]
        calls = (
            delayed(evaluate)(i, data[i], part, scorer(self.scoring), columns) for i, part in tasks
        )
        work = Parallel(n_jobs=self.n_jobs, backend="threading", return_as="generator_unordered")
        scores = np.full((3, len(combinations), len(folds)), np.nan)
        for done, each in enumerate(work(calls), 1):
            for j, limits in enumerate(plans[each.fold]):
                if limits in each.scores:
                    scores[:, j, each.fold] = each.scores[limits], each.fit_s, each.score_s
            self._report_progress(done, len(tasks), len(folds))
        self._conclude(combinations, scores)
        return len(tasks)

    def _plan(self, data: list[FoldData]) -> tuple[list[dict[str, Any]], list[list[Limits]]]:
        """Return the combinations of the grid, and by fold the limits that each one means."""
        from sklearn.utils import check_random_state

        forest, prefix = forest_of(self.estimator)
        known = [prefix + key for key in PATH]
        hint = f"the path search has {', '.join(known)}; else ResumableGridSearchCV"
        combinations = check_grid(self.param_grid, known, hint=hint)
        seed = int(check_random_state(forest.random_state).randint(2**31 - 1))
        plans = [
            [
                resolve(forest, _bare(values, prefix), side.train.shape, seed)
                for values in combinations
            ]
            for side in data
        ]
        return combinations, plans

    def _conclude(self, combinations: list[dict[str, Any]], scores: Scores) -> None:
        test, fit_s, score_s = scores
        self.cv_results_ = results.table(combinations, test=test, fit_s=fit_s, score_s=score_s)
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.best_params_ = accepted(combinations[self.best_index_])

    def _report_progress(self, done: int, tasks: int, folds: int) -> None:
        if self.progress:
            self.progress(done, tasks + folds * self.confirm)

    def _plain(self) -> Any:
        """Return the winner, not fitted yet."""
        plain = clone(self.estimator).set_params(**self.best_params_)
        forest, _ = forest_of(plain)
        if forest.n_jobs is None:
            forest.set_params(n_jobs=self.n_jobs)
        return plain

    def _confirm(
        self, rows: Any, labels: Any, truth: Truth, folds: list[Fold], tasks: int
    ) -> Scores:
        """Return the score of each fold of the winner as a plain forest."""
        score, scores = scorer(self.scoring), []
        for done, (train, test) in enumerate(folds, 1):
            plain = self._plain().fit(rows[train], labels[train])
            found = probabilities(plain, rows[test], self.classes_, labels=truth.ndim == 2)
            scores.append(score(truth[test], found))
            self._report_progress(tasks + done, tasks, len(folds))
        return np.array(scores)

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the best estimator's predictions."""
        return self._best().predict(X)

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Return the best estimator's probabilities."""
        return self._best().predict_proba(X)

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the best estimator's score, by the `scoring` of the search."""
        truth = np.asarray(y).astype(bool) if np.ndim(y) == 2 else np.searchsorted(self.classes_, y)
        return scorer(self.scoring)(
            truth, probabilities(self._best(), X, self.classes_, labels=truth.ndim == 2)
        )

    def _best(self) -> Any:
        from sklearn.exceptions import NotFittedError

        if not hasattr(self, "best_estimator_"):
            raise NotFittedError("fit first, with refit=True")
        return self.best_estimator_


def _bare(values: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in values.items()}
