"""Metrics of a multi-class model: top-k, F1, loss, majority, calibration, worst mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from training.evaluation.metrics import LARGEST_MATRIX, f1_of_counts, reliability

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.evaluation.metrics import Metrics, Scores

Labels = npt.NDArray[np.integer[Any]]
EXAMPLES = 12
LOWEST = 1e-7
"""Score of the right class below which the loss does not grow, or one picture could decide it."""


class Evaluation(NamedTuple):
    """Scores and labels of held-out pictures."""

    name: str
    """The source that was left out, or the part."""
    test_set: str
    """Name of the test set, such as `test`."""
    scores: Scores
    labels: Labels
    """(rows,)"""
    rows: npt.NDArray[np.int64]
    """Rows of the pack."""


def measure(scores: Scores, labels: Labels, *, top: Sequence[int] = (1, 3, 5)) -> Metrics:
    """Return top-k, macro-F1, loss, the share of the majority and the calibration error.

    scores: (n, classes). Macro-F1 is over the classes that occur. Without pictures the metrics are
    None.
    """
    count, classes = scores.shape
    if not count:
        return {
            "pictures": 0,
            **dict.fromkeys(("top1", "macro_f1", "loss", "majority", "calibration_error")),
        }
    ranks = rank(scores, labels)
    predicted, f1 = scores.argmax(axis=1), f1_by_class(scores, labels)
    best = scores[np.arange(count), predicted]
    return {
        "pictures": count,
        **{f"top{k}": float((ranks < k).mean()) for k in top if k == 1 or k < classes},
        "macro_f1": float(np.mean([value for value in f1 if value is not None])),
        "loss": float(cross_entropy(scores, labels).mean()),
        "majority": float(np.bincount(labels).max() / count),
        "calibration_error": reliability(best, predicted == labels)["expected_calibration_error"],
    }


def rank(scores: Scores, labels: Labels) -> npt.NDArray[np.int64]:
    """Return how many classes score higher than the true one, (n,); of ties, those before it."""
    right = scores[np.arange(len(labels)), labels][:, None]
    before = np.arange(scores.shape[1]) < np.asarray(labels)[:, None]
    return np.asarray(((scores > right) | ((scores == right) & before)).sum(axis=1), np.int64)


def cross_entropy(scores: Scores, labels: Labels) -> npt.NDArray[np.float64]:
    """Return minus the logarithm of the right class's score of each picture, (n,)."""
    right = scores[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.maximum(right, LOWEST))


def f1_by_class(scores: Scores, labels: Labels) -> list[float | None]:
    """Return F1 of each class, None where it does not occur."""
    predicted, classes = scores.argmax(axis=1), scores.shape[1]
    there, called, hits = (
        np.bincount(x, minlength=classes) for x in (labels, predicted, labels[predicted == labels])
    )
    return [
        f1_of_counts(hit, b, a) if a else None
        for a, b, hit in zip(there.tolist(), called.tolist(), hits.tolist(), strict=True)
    ]


def by_class(
    scores: Scores, labels: Labels, names: Sequence[str], *, top: int
) -> list[dict[str, Any]]:
    """Return support, top-1, top-k, F1 and loss of every class, the hardest first."""
    ranks, f1 = rank(scores, labels), f1_by_class(scores, labels)
    losses = cross_entropy(scores, labels)
    found: list[dict[str, Any]] = []
    for label in np.unique(labels).tolist():
        here = ranks[labels == label]
        shares = {"top1": float((here < 1).mean()), "topk": float((here < top).mean())}
        loss = float(losses[labels == label].mean())
        found.append(
            {"label": names[label], "support": len(here), **shares, "f1": f1[label], "loss": loss}
        )
    return sorted(found, key=lambda one: (one["f1"], one["label"]))


def confused(
    scores: Scores, labels: Labels, names: Sequence[str], *, count: int = 10
) -> list[tuple[str, str, int]]:
    """Return the most frequent confusions: (true class, predicted class, count)."""
    predicted = scores.argmax(axis=1)
    wrong = predicted != labels
    pairs, often = np.unique(
        np.stack((labels[wrong], predicted[wrong]), axis=1), axis=0, return_counts=True
    )
    order = np.argsort(-often, kind="stable")[:count]
    return [(names[pairs[i, 0]], names[pairs[i, 1]], int(often[i])) for i in order]


def matrix(scores: Scores, labels: Labels) -> list[list[int]] | None:
    """Return the confusion matrix, or None for more than 40 classes, whose `pairs` are shorter."""
    classes = scores.shape[1]
    if classes > LARGEST_MATRIX:
        return None
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, scores.argmax(axis=1)), 1)
    table: list[list[int]] = counts.tolist()
    return table


def pairs(scores: Scores, labels: Labels) -> list[list[int]]:
    """Return [number of the true class, of the predicted one, count] where the count is not 0."""
    both = np.stack((np.asarray(labels, np.int64), scores.argmax(axis=1)), axis=1)
    found, counts = np.unique(both, axis=0, return_counts=True)
    table: list[list[int]] = np.column_stack((found, counts)).tolist()
    return table


def mistakes(
    tests: Sequence[Evaluation], names: Sequence[str], *, count: int = EXAMPLES
) -> list[dict[str, Any]]:
    """Return the wrong predictions with the highest scores, one for each pair of classes."""
    found = [mistake for one in tests for mistake in _wrong(one, names)]
    chosen: dict[tuple[str, str], dict[str, Any]] = {}
    for mistake in sorted(found, key=lambda each: -each["score"]):
        chosen.setdefault((mistake["is"], mistake["said"]), mistake)
    return list(chosen.values())[:count]


def _wrong(one: Evaluation, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    predicted, ranks = one.scores.argmax(axis=1), rank(one.scores, one.labels)
    for at in np.flatnonzero(predicted != one.labels).tolist():
        yield {
            "source": one.name,
            "row": int(one.rows[at]),
            "is": names[one.labels[at]],
            "said": names[predicted[at]],
            "score": float(one.scores[at, predicted[at]]),
            "right": float(one.scores[at, one.labels[at]]),
            "rank": int(ranks[at]) + 1,
        }


def calibration(tests: Sequence[Evaluation]) -> dict[str, Any]:
    """Return how often the first guess is right, by tenths of its score."""
    scores, labels = (
        np.concatenate([getattr(one, what) for one in tests]) for what in ("scores", "labels")
    )
    predicted = scores.argmax(axis=1)
    return reliability(scores[np.arange(len(predicted)), predicted], predicted == labels)
