"""Multi-label metrics, each beside the baseline of a model without any knowledge.

Definitions: *element-wise accuracy* is the share of right cells in the windows x labels table; its
baseline is the share of cells that are off. F1 of a label that never occurs is undefined: macro-F1
and mAP leave such labels out and `labels_left_out` names them; `macro_f1_mixture` is over windows
of two to four labels. Their baselines (`_all_on`, `_constant`) have every label on, or one score
for all windows: average precision is then the share of windows with the label. *Top-1* is over
windows with exactly one label: the highest score is that label.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Scores: TypeAlias = npt.NDArray[np.float32]
"""(windows, labels), in [0, 1]."""
Mask: TypeAlias = npt.NDArray[np.bool_]
Metrics: TypeAlias = dict[str, Any]

SINGLE = ("note", "solo")
"""Kinds of window that hold one instrument."""
SILENCE_AND_NOISE = ("silence", "noise")
"""Kinds of generated window that hold none."""
BACKGROUND = "background"
"""Kind of a recorded window that holds none: a label there is a false positive."""
WITHOUT_LABEL = (*SILENCE_AND_NOISE, BACKGROUND)
MIXTURE = (2, 4)
"""Fewest and most labels of the windows that `macro_f1_mixture` counts."""
BINS = 10
"""Tenths of the score in `reliability`."""
LARGEST_MATRIX = 40
"""Classes of the largest confusion matrix."""


def measure(
    scores: Scores,
    labels: Mask,
    kind: npt.NDArray[np.str_],
    *,
    thresholds: npt.NDArray[np.floating[Any]],
    names: Sequence[str],
) -> Metrics:
    """Return every figure of the report for windows scored by a model not trained on their source.

    labels: bool, same shape as scores. kind: (windows,). thresholds: (labels,). Windows of noise
    and silence count only in `quiet_without_label`, those of background everywhere; a figure that
    nothing supports is None.
    """
    made, quiet = np.isin(kind, SILENCE_AND_NOISE), np.isin(kind, WITHOUT_LABEL)
    mixture = is_mixture(labels)
    return {
        **multi_label(scores[~made], labels[~made], thresholds=thresholds, names=names),
        "macro_f1_mixture": _mean(f1_by_label(scores[mixture] >= thresholds, labels[mixture])),
        "macro_f1_mixture_all_on": _mean(f1_all_on(labels[mixture])),
        "mixture_windows": int(mixture.sum()),
        **top1_by_kind(scores[~made], labels[~made], kind[~made]),
        "quiet_windows": int(quiet.sum()),
        "quiet_without_label": _share(~(scores[quiet] >= thresholds).any(axis=1)),
    }


def is_mixture(labels: Mask) -> Mask:
    """Return which windows have two to four labels, (windows,)."""
    counts = labels.sum(axis=1)
    return np.asarray((counts >= MIXTURE[0]) & (counts <= MIXTURE[1]))


def multi_label(
    scores: Scores, labels: Mask, *, thresholds: npt.NDArray[np.floating[Any]], names: Sequence[str]
) -> Metrics:
    """Return accuracy, F1 and average precision with their baselines."""
    predicted = scores >= thresholds
    precision = [average_precision(scores[:, i], labels[:, i]) for i in range(len(names))]
    each = f1_by_label(predicted, labels)
    return {
        "windows": len(labels),
        "accuracy": _share(predicted == labels),
        "accuracy_all_negative": _share(~labels),
        "micro_f1": f1(predicted, labels) if labels.any() else None,
        "micro_f1_all_on": f1(np.ones_like(labels), labels) if labels.any() else None,
        "macro_f1": _mean(each),
        "macro_f1_all_on": _mean(f1_all_on(labels)),
        "mean_average_precision": _mean(precision),
        "mean_average_precision_constant": _mean(
            [None if value is None else labels[:, i].mean() for i, value in enumerate(precision)]
        ),
        "labels_left_out": [name for name, value in zip(names, each, strict=True) if value is None],
        "f1": dict(zip(names, each, strict=True)),
        "support": dict(zip(names, labels.sum(axis=0).tolist(), strict=True)),
    }


def top1_by_kind(scores: Scores, labels: Mask, kind: npt.NDArray[np.str_]) -> Metrics:
    """Return top-1 over all windows of one instrument, and over each kind of them."""
    single = np.isin(kind, SINGLE) & (labels.sum(axis=1) == 1)
    parts = {part: single & (kind == part) for part in SINGLE}
    return {
        **top1(scores[single], labels[single]),
        **{
            f"top1_{part}": top1(scores[chosen], labels[chosen])["top1"]
            for part, chosen in parts.items()
        },
    }


def top1(scores: Scores, labels: Mask) -> Metrics:
    """Return top-1 of windows with one label, its mean over labels, and the majority baseline."""
    if not len(scores):
        return {"top1": None, "top1_macro": None, "top1_majority": None, "top1_windows": 0}
    truth, right = labels.argmax(axis=1), scores.argmax(axis=1) == labels.argmax(axis=1)
    return {
        "top1": _share(right),
        "top1_macro": float(np.mean([right[truth == label].mean() for label in np.unique(truth)])),
        "top1_majority": float(np.bincount(truth).max() / len(truth)),
        "top1_windows": len(truth),
    }


def confusion(scores: Scores, labels: Mask) -> npt.NDArray[np.int64]:
    """Return the confusion matrix, (labels, labels), of windows with one label.

    Rows: the label. Columns: the label with the highest score.
    """
    single = labels.sum(axis=1) == 1
    table = np.zeros((labels.shape[1], labels.shape[1]), np.int64)
    np.add.at(table, (labels[single].argmax(axis=1), scores[single].argmax(axis=1)), 1)
    return table


def f1_by_label(predicted: Mask, truth: Mask) -> list[float | None]:
    """Return F1 of each label, None where the label never occurs."""
    return [
        f1(predicted[:, i], truth[:, i]) if truth[:, i].any() else None
        for i in range(truth.shape[1])
    ]


def f1_all_on(truth: Mask) -> list[float | None]:
    """Return F1 of each label where every window gets it, None where the label never occurs."""
    return f1_by_label(np.ones_like(truth), truth)


def average_precision(scores: npt.NDArray[np.floating[Any]], truth: Mask) -> float | None:
    """Return average precision: sum of (recall gained) x precision.

    None without a positive, or without a negative, where any scores would have 1. Equal scores
    count as one rank.
    """
    if not truth.any() or truth.all():
        return None
    order = np.argsort(-scores, kind="stable")
    hits, ranked = np.cumsum(truth[order]), scores[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    recall = hits[last] / hits[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * hits[last] / (last + 1)))


def f1(predicted: Mask, truth: Mask) -> float:
    """Return F1 of one label; 0 where it is neither predicted nor present."""
    hits = int(np.count_nonzero(predicted & truth))
    return f1_of_counts(hits, int(np.count_nonzero(predicted)), int(np.count_nonzero(truth)))


def f1_of_counts(hits: int, predicted: int, present: int) -> float:
    """Return F1; 0 where nothing is predicted and nothing is present."""
    return 2 * hits / max(1, predicted + present)


def reliability(scores: Scores, truth: Mask) -> dict[str, Any]:
    """Return the count and true share of cells by tenth of the score, and the calibration error."""
    tenth = np.minimum((scores * BINS).astype(int), BINS - 1).ravel()
    counts = np.bincount(tenth, minlength=BINS)
    sums = [
        np.bincount(tenth, cells.ravel().astype(float), minlength=BINS) for cells in (scores, truth)
    ]
    score, share = (total / np.maximum(counts, 1) for total in sums)
    error = float((counts * np.abs(score - share)).sum() / counts.sum())
    bins = [
        {"score": s, "share": t, "count": c}
        for s, t, c in zip(score.tolist(), share.tolist(), counts.tolist(), strict=True)
    ]
    return {"bins": bins, "expected_calibration_error": error}


def _share(cells: npt.ArrayLike) -> float | None:
    cells = np.asarray(cells)
    return float(cells.mean()) if cells.size else None


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
