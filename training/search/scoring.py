"""Scores of a fold from probabilities; names are those of scikit-learn.

Several labels a row: probabilities (n, labels), a label counts above 0.5. One class a row: (n,
classes), the largest counts. `accuracy` is scikit-learn's: with several labels, a row is right when
all its labels are. `elementwise_accuracy` counts single labels; a model that never
predicts a label scores high in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from training.search.splits import SearchError

Scores: TypeAlias = npt.NDArray[np.float64]
Truth: TypeAlias = npt.NDArray[Any]
"""bool (n, labels), or the index of the class (n,)."""
Scorer: TypeAlias = Callable[[Truth, Scores], float]


def _decided(truth: Truth, scores: Scores) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return what is and what was predicted, both bool (n, labels or classes)."""
    if truth.ndim == 2:
        return truth.astype(bool), scores > 0.5
    classes = np.arange(scores.shape[1])
    return truth[:, None] == classes, scores.argmax(axis=1)[:, None] == classes


def accuracy(truth: Truth, scores: Scores) -> float:
    """Return the share of rows that are right as a whole."""
    if truth.ndim == 1:
        return float((scores.argmax(axis=1) == truth).mean())
    return float(((scores > 0.5) == truth).all(axis=1).mean())


def elementwise_accuracy(truth: Truth, scores: Scores) -> float:
    """Return the share of single decisions that are right; accuracy with one class a row."""
    return accuracy(truth, scores) if truth.ndim == 1 else float(((scores > 0.5) == truth).mean())


def f1_macro(truth: Truth, scores: Scores) -> float:
    """Return the mean F1 of the labels, or of the classes that occur or are predicted.

    A label that is never on and never predicted counts 0.
    """
    hits, errors = _counts(truth, scores)
    there = np.ones(len(hits), bool) if truth.ndim == 2 else hits + errors > 0
    return float((2 * hits / np.maximum(2 * hits + errors, 1))[there].mean())


def f1_micro(truth: Truth, scores: Scores) -> float:
    """Return F1 over all decisions of all labels."""
    hits, errors = (counts.sum() for counts in _counts(truth, scores))
    return float(2 * hits / max(2 * hits + errors, 1))


def neg_log_loss(truth: Truth, scores: Scores) -> float:
    """Return minus the mean log-loss over rows and labels, probabilities kept off 0 and 1."""
    least = np.finfo(np.float64).eps
    if truth.ndim == 1:
        return float(np.log(np.clip(scores[np.arange(len(truth)), truth], least, 1)).mean())
    return float(np.log(np.clip(np.where(truth, scores, 1 - scores), least, 1)).mean())


def _counts(truth: Truth, scores: Scores) -> tuple[Any, Any]:
    there, predicted = _decided(truth, scores)
    return (there & predicted).sum(axis=0), (there ^ predicted).sum(axis=0)


NAMED: dict[str, Scorer] = {
    "accuracy": accuracy,
    "elementwise_accuracy": elementwise_accuracy,
    "f1_macro": f1_macro,
    "f1_micro": f1_micro,
    "neg_log_loss": neg_log_loss,
}


def scorer(scoring: str | Scorer | None) -> Scorer:
    """Return a function of (truth, probabilities); None means accuracy.

    Raises SearchError for an unknown name.
    """
    if callable(scoring):
        return scoring
    name = scoring or "accuracy"
    if name not in NAMED:
        raise SearchError(
            f"unknown scoring {name!r}; known: {', '.join(NAMED)}, or a function of (truth, scores)"
        )
    return NAMED[name]


def encode(labels: Any) -> tuple[Truth, npt.NDArray[Any]]:
    """Return labels as a Truth, and the classes: their values, or [0, 1] for several labels.

    Raises SearchError when there is only one class, or several outputs of more than two values.
    """
    labels = np.asarray(labels)
    if labels.ndim == 1:
        classes, index = np.unique(labels, return_inverse=True)
        if len(classes) < 2:
            raise SearchError(
                f"only one class, {classes.tolist()}: there is nothing to distinguish"
            )
        return index, classes
    if labels.ndim != 2 or not np.isin(labels, (0, 1)).all():
        raise SearchError(
            f"labels of shape {labels.shape}: classes (n,), or labels 0 and 1 (n, labels), "
            f"are needed"
        )
    present = labels.astype(bool)
    if (present.all(axis=0) | ~present.any(axis=0)).all():
        raise SearchError("every label is in all rows or in none: there is nothing to distinguish")
    return present, np.array([0, 1])


def probabilities(estimator: Any, rows: Any, classes: npt.NDArray[Any], *, labels: bool) -> Scores:
    """Return predict_proba as (n, labels) or (n, classes); classes never trained on have 0."""
    found = estimator.predict_proba(rows)
    if not isinstance(found, list):
        # Some give (n, labels) at once where a row has several labels.
        return (
            np.asarray(found, np.float64) if labels else _placed(found, estimator.classes_, classes)
        )
    known = estimator.classes_
    return np.column_stack([_placed(each, known[i], classes)[:, 1] for i, each in enumerate(found)])


def _placed(found: Any, known: Any, classes: npt.NDArray[Any]) -> Scores:
    """Return columns of the known classes as columns of all classes."""
    placed = np.zeros((len(found), len(classes)))
    placed[:, np.searchsorted(classes, known)] = found
    return placed
