"""Grid search with progress that stores each result on disk and resumes after a kill."""

from __future__ import annotations

import os
import platform
import re
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone, is_classifier

from training.search import results
from training.search.journal import Journal
from training.search.scoring import encode, neg_log_loss, probabilities
from training.search.splits import Fold, SearchError, check_grid, folds_of


class ResumableGridSearchCV(MetaEstimatorMixin, BaseEstimator):  # type: ignore[misc]
    """GridSearchCV for searches of hours and days: the same folds, scores and `cv_results_`.

    estimator, param_grid, cv (or a BySource), n_jobs, refit, return_train_score, error_score: as
    GridSearchCV's. scoring: any name of scikit-learn, and elementwise_accuracy. folder:
    FOLDER/tasks.jsonl keeps each finished task, by a hash of data, estimator, parameters, fold and
    scoring. A search started again after a kill does only what is missing, and one of a wider grid
    only what is new. This needs folds that are the same again: give a shuffling KFold its
    random_state. dask: the address of a Dask scheduler, whose workers (with Timbre installed) then
    do the tasks. progress: called with (tasks done, tasks, best mean score so far or NaN) after
    each task.

    After `fit`: cv_results_, best_index_, best_score_, best_params_, n_splits_, resumed_ (tasks
    found on disk); with refit best_estimator_ and refit_time_ (s). A task whose fit fails scores
    `error_score` and is tried again next time.
    """

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        scoring: Any = None,
        cv: Any = None,
        n_jobs: int | None = None,
        refit: bool = True,
        return_train_score: bool = False,
        error_score: float | str = np.nan,
        folder: Path | str | None = None,
        dask: str | None = None,
        progress: Callable[[int, int, float], None] | None = None,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.scoring = scoring
        self.cv = cv
        self.n_jobs = n_jobs
        self.refit = refit
        self.return_train_score = return_train_score
        self.error_score = error_score
        self.folder = folder
        self.dask = dask
        self.progress = progress

    def fit(self, X: Any, y: Any, *, groups: Any = None) -> ResumableGridSearchCV:  # noqa: N803
        """Search and refit the best. X: (n, ...); y: (n,) or (n, labels); groups: sources, (n,).

        Raises SearchError for a grid or folds that cannot be searched, a folder or a scheduler out
        of reach, and when every fit fails.
        """
        rows, labels = np.asarray(X), np.asarray(y)
        if is_classifier(self.estimator):
            encode(labels)
        known = sorted(self.estimator.get_params())
        hint = f"{type(self.estimator).__name__} has {', '.join(known)}"
        combinations = check_grid(self.param_grid, known, hint=hint)
        folds = folds_of(self.cv, rows, labels, groups, classifier=is_classifier(self.estimator))
        self.scorer_ = scorer_of(self.estimator, self.scoring, labels)
        self._collect(rows, labels, folds, combinations)
        self.n_splits_ = len(folds)
        if self.refit:
            began = time.perf_counter()
            self.best_estimator_ = _with(self.estimator, self.best_params_).fit(rows, labels)
            self.refit_time_ = time.perf_counter() - began
        return self

    def _collect(
        self, rows: Any, labels: Any, folds: list[Fold], combinations: list[dict[str, Any]]
    ) -> None:
        journal = Journal(Path(self.folder) if self.folder else None)
        data = joblib.hash((rows, labels, self.estimator, self.scoring, self.return_train_score))
        hashes = [joblib.hash(fold) for fold in folds]
        keys = [[joblib.hash((data, values, fold)) for fold in hashes] for values in combinations]
        known = {key for key, record in journal.records.items() if record["error"] is None}
        missing = [
            (i, k) for i, row in enumerate(keys) for k, key in enumerate(row) if key not in known
        ]
        self.resumed_ = len(combinations) * len(folds) - len(missing)
        scores = np.full((4, len(combinations), len(folds)), np.nan)
        left = np.full(len(combinations), len(folds))
        for i, row in enumerate(keys):
            for k, key in enumerate(row):
                if key in known:
                    scores[:, i, k] = _numbers(journal.records[key])
                    left[i] -= 1
        for done, (i, k, record) in enumerate(
            self._tasks(rows, labels, folds, combinations, missing), 1
        ):
            journal.add(keys[i][k], {"params": combinations[i], "fold": k, **record})
            scores[:, i, k] = _numbers(record)
            left[i] -= 1
            if self.progress:
                self.progress(
                    self.resumed_ + done, left.size * len(folds), _best(scores[0][left == 0])
                )
        self._conclude(scores, combinations, journal)

    def _tasks(
        self, rows: Any, labels: Any, folds: list[Fold], combinations: Any, missing: Any
    ) -> Iterator[Any]:
        """Yield (combination, fold, record) in the order in which tasks end."""
        with _dask_workers(self.dask, [rows, labels]):
            # Batches would keep finished tasks from the disk.
            work = joblib.Parallel(
                n_jobs=self.n_jobs, return_as="generator_unordered", batch_size=1
            )
            options = {
                "score": self.scorer_,
                "train_too": self.return_train_score,
                "strict": self.error_score == "raise",
            }
            yield from work(
                joblib.delayed(_evaluate)(
                    (i, k), self.estimator, rows, labels, folds[k], combinations[i], **options
                )
                for i, k in missing
            )

    def _conclude(self, scores: Any, combinations: list[dict[str, Any]], journal: Journal) -> None:
        test, train, fit_s, score_s = scores
        if np.isnan(test).all():
            errors = [record["error"] for record in journal.records.values() if record["error"]]
            raise SearchError(
                f"every fit failed, the first with: {errors[0] if errors else 'a score of NaN'}"
            )
        if isinstance(self.error_score, int | float):
            test = np.where(np.isnan(test), self.error_score, test)
        kept = train if self.return_train_score else None
        self.cv_results_ = results.table(
            combinations, test=test, fit_s=fit_s, score_s=score_s, train=kept
        )
        self.best_index_ = int(self.cv_results_["rank_test_score"].argmin())
        self.best_score_ = float(self.cv_results_["mean_test_score"][self.best_index_])
        self.best_params_ = combinations[self.best_index_]

    def predict(self, X: Any) -> Any:  # noqa: N803
        """Return the best estimator's predictions."""
        return self._best().predict(X)

    def predict_proba(self, X: Any) -> Any:  # noqa: N803
        """Return the best estimator's probabilities."""
        return self._best().predict_proba(X)

    def score(self, X: Any, y: Any) -> float:  # noqa: N803
        """Return the best estimator's score, by the `scoring` of the search."""
        return float(self.scorer_(self._best(), X, y))

    def _best(self) -> Any:
        from sklearn.exceptions import NotFittedError

        if not hasattr(self, "best_estimator_"):
            raise NotFittedError("fit first, with refit=True")
        return self.best_estimator_


def scorer_of(estimator: Any, scoring: Any, labels: Any) -> Any:
    """Return a function of (estimator, rows, labels). Raises SearchError for an unknown name."""
    from sklearn.metrics import check_scoring, get_scorer_names, make_scorer

    if scoring == "elementwise_accuracy":
        return make_scorer(_elementwise)
    if scoring == "neg_log_loss" and labels.ndim == 2:
        return _log_loss
    if isinstance(scoring, str) and scoring not in get_scorer_names():
        raise SearchError(
            f"unknown scoring {scoring!r}: elementwise_accuracy and scikit-learn's names are known"
        )
    return check_scoring(estimator, scoring)


def _elementwise(truth: Any, predicted: Any) -> float:
    return float((np.asarray(truth) == predicted).mean())


def _log_loss(estimator: Any, rows: Any, labels: Any) -> float:
    return neg_log_loss(
        labels.astype(bool), probabilities(estimator, rows, np.array([0, 1]), labels=True)
    )


def _with(estimator: Any, values: dict[str, Any]) -> Any:
    return clone(estimator).set_params(
        **{key: clone(value, safe=False) for key, value in values.items()}
    )


def _evaluate(
    place: tuple[int, int],
    estimator: Any,
    rows: Any,
    labels: Any,
    fold: Fold,
    values: dict[str, Any],
    *,
    score: Any,
    train_too: bool,
    strict: bool,
) -> tuple[int, int, dict[str, Any]]:
    """Return where the task belongs, and its record; runs in any process on any machine."""
    train, test = fold
    began = time.perf_counter()
    record: dict[str, Any] = {
        "test": np.nan,
        "train": np.nan,
        "fit_s": 0.0,
        "score_s": 0.0,
        "error": None,
    }
    record["where"] = f"{platform.node()}:{os.getpid()}"
    try:
        model = _with(estimator, values).fit(rows[train], labels[train])
        fitted = time.perf_counter()
        record |= {"fit_s": fitted - began, "test": float(score(model, rows[test], labels[test]))}
        record["score_s"] = time.perf_counter() - fitted
        if train_too:
            record["train"] = float(score(model, rows[train], labels[train]))
    except Exception as error:
        if strict:
            raise
        record["error"] = traceback.format_exception_only(error)[-1].strip()
    return *place, record


def _numbers(record: dict[str, Any]) -> tuple[float, ...]:
    return record["test"], record["train"], record["fit_s"], record["score_s"]


def _best(finished: Any) -> float:
    means = finished.mean(axis=1)
    return float(np.nanmax(means)) if (~np.isnan(means)).any() else float("nan")


@contextmanager
def _dask_workers(address: str | None, arrays: list[Any]) -> Iterator[None]:
    """Let joblib send its tasks to the workers of a Dask scheduler, each array once."""
    if address is None:
        yield
        return
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise SearchError(
            f"{error}: a search over machines needs pip install 'timbre[cluster]'"
        ) from error
    if not re.fullmatch(r"(\w+://)?[^/\s]+:\d+", address):
        raise SearchError(
            f"{address!r} is not the address of a Dask scheduler, such as tcp://10.0.0.5:8786"
        )
    try:
        client = Client(address, timeout=5, set_as_default=False)
    except (OSError, ValueError) as error:
        raise SearchError(f"no Dask scheduler answers at {address}: {error}") from error
    with client, joblib.parallel_config("dask", client=client, scatter=arrays):
        yield
