"""The content of report.json: every figure and curve of the page, from out-of-fold scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from training.evaluation.leave_one_out import together
from training.evaluation.metrics import (
    SILENCE_AND_NOISE,
    average_precision,
    confusion,
    f1,
    measure,
    reliability,
)
from training.evaluation.thresholds import GRID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.evaluation.leave_one_out import SourceScores
    from training.evaluation.metrics import Mask, Metrics

FIGURES = {"macro-F1": "macro_f1", "top-1": "top1", "mAP": "mean_average_precision"}
RESAMPLES = 2000
DRAWS = 200
"""Bootstrap draws of sources that are measured together."""
POINTS = 100
EXAMPLES = 12


class Mistake(NamedTuple):
    """One window and what is worst about its answer."""

    source: str
    """The one left out; noise belongs to none."""
    row: int
    """Row of the window in the test set."""
    label: str
    """A false positive or a false negative."""
    missed: bool
    plays: list[str]
    scores: dict[str, float]
    """The highest scores, and those of what plays."""


def report_data(
    evaluated: Sequence[SourceScores],
    metrics: Metrics,
    thresholds: dict[str, float],
    *,
    history: dict[str, Any],
) -> dict[str, Any]:
    """Return all that the page shows, as JSON: lists, texts, numbers. evaluated: at least one."""
    whole = together(evaluated)
    scores, labels, sounds = whole.scores, whole.labels, ~np.isin(whole.kind, SILENCE_AND_NOISE)
    names = list(thresholds)
    known = {what: by_source(metrics, key) for what, key in FIGURES.items()}
    return {
        "sources": metrics["left_out"],
        "never_trained_on": metrics["never_trained_on"],
        "ensemble": metrics.get("ensemble"),
        "figures": known,
        "intervals": intervals(evaluated, known, np.array(list(thresholds.values()))),
        "labels": {
            name: label_data(scores[sounds, i], labels[sounds, i], thresholds[name])
            for i, name in enumerate(names)
        },
        "confusion": confusion(scores[sounds], labels[sounds]).tolist(),
        "reliability": reliability(scores, labels),
        "history": history,
        "mistakes": [mistake._asdict() for mistake in mistakes(evaluated, thresholds)],
    }


def by_source(metrics: Metrics, key: str) -> dict[str, float | None]:
    """Return one figure by source left out."""
    return {source: found[key] for source, found in metrics["left_out"].items()}


def intervals(
    evaluated: Sequence[SourceScores],
    known: dict[str, dict[str, float | None]],
    limits: npt.NDArray[np.float64],
) -> dict[str, tuple[float, float, float]]:
    """Return by figure its mean over the sources and the mean's 95 % interval (bootstrap).

    Where one model scored all sources, the figure of all windows, and of the windows of the sources
    drawn. A figure that nothing supports is left out.
    """
    one = together(evaluated)
    if len(one.groups) != len(one.labels):
        means = {what: bootstrap(list(values.values())) for what, values in known.items()}
        return {what: found for what, found in means.items() if found}
    rows = [np.flatnonzero(one.groups == group) for group in np.unique(one.groups)]
    draws = np.random.default_rng(0).integers(len(rows), size=(DRAWS, len(rows)))
    found = [
        _figures(one, np.concatenate([rows[i] for i in draw.tolist()]), limits) for draw in draws
    ]
    whole = _figures(one, np.concatenate(rows), limits)
    ranges = {}
    for what in known:
        if not np.isnan(whole[what]):
            # Sources that are drawn may not support a figure that all of them together do.
            values = [each[what] for each in found if not np.isnan(each[what])] or [whole[what]]
            low, high = np.quantile(values, (0.025, 0.975)).tolist()
            ranges[what] = (whole[what], low, high)
    return ranges


def _figures(
    one: SourceScores, rows: npt.NDArray[np.int64], limits: npt.NDArray[np.float64]
) -> dict[str, float]:
    names = [str(number) for number in range(len(limits))]
    found = measure(
        one.scores[rows], one.labels[rows], one.kind[rows], thresholds=limits, names=names
    )
    return {what: np.nan if found[key] is None else found[key] for what, key in FIGURES.items()}


def bootstrap(values: Sequence[float | None]) -> tuple[float, float, float] | None:
    """Return the mean over sources and its 95 % interval, by resampling the sources.

    None where no source has a value.
    """
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return None
    draws = np.random.default_rng(0).integers(len(known), size=(RESAMPLES, len(known)))
    low, high = np.quantile(known[draws].mean(axis=1), (0.025, 0.975))
    return float(known.mean()), float(low), float(high)


def label_data(scores: npt.NDArray[np.float32], truth: Mask, threshold: float) -> dict[str, Any]:
    """Return curves of one label, and the point of its threshold on them."""
    predicted = scores >= threshold
    right = int(np.count_nonzero(predicted & truth))
    return {
        "threshold": threshold,
        "support": int(truth.sum()),
        "precision": right / int(predicted.sum()) if predicted.any() else None,
        "recall": right / int(truth.sum()) if truth.any() else None,
        "f1": f1(predicted, truth),
        "f1_all_on": f1(np.ones_like(truth), truth),
        "average_precision": average_precision(scores, truth),
        "share": float(truth.mean()) if len(truth) else None,
        "curve": precision_recall(scores, truth),
        "sweep": {"threshold": GRID.tolist(), "f1": [f1(scores >= at, truth) for at in GRID]},
    }


def precision_recall(scores: npt.NDArray[np.float32], truth: Mask) -> dict[str, list[float]]:
    """Return at most 100 points of the curve, highest score first; empty without a positive."""
    if not truth.any():
        return {"recall": [], "precision": []}
    hits = np.cumsum(truth[np.argsort(-scores, kind="stable")])
    at = np.unique(np.searchsorted(hits, np.linspace(1, hits[-1], POINTS).round()))
    return {"recall": (hits[at] / hits[-1]).tolist(), "precision": (hits[at] / (at + 1)).tolist()}


def mistakes(
    evaluated: Sequence[SourceScores], thresholds: dict[str, float], *, count: int = EXAMPLES
) -> list[Mistake]:
    """Return the windows whose answers are furthest on the wrong side of a threshold.

    No two of the same label and kind of error, and as many of each source.
    """
    found = [mistake for one in evaluated for mistake in _worst(one, thresholds)]
    found.sort(key=lambda pair: -pair[0])
    most = -(-count // len({one.source for _, one in found})) if found else 0
    chosen: list[Mistake] = []
    for _, one in found:
        same_source = sum(other.source == one.source for other in chosen)
        similar = any(
            (other.label, other.missed) == (one.label, one.missed) or other.row == one.row
            for other in chosen
        )
        if same_source < most and not similar:
            chosen.append(one)
    return chosen[:count]


def _worst(one: SourceScores, thresholds: dict[str, float]) -> list[tuple[float, Mistake]]:
    """Return for each label its worst false negative and false positive, with their severity."""
    limits = np.array(list(thresholds.values()))
    excess = one.scores - limits
    found = []
    for missed, badness in (
        (True, np.where(one.labels, -excess / np.maximum(limits, 1e-6), -1)),
        (False, np.where(one.labels, -1, excess / np.maximum(1 - limits, 1e-6))),
    ):
        for column, label in enumerate(thresholds):
            at = int(badness[:, column].argmax()) if len(badness) else 0
            if len(one.rows) and badness[at, column] > 0:
                found.append(
                    (
                        float(badness[at, column]),
                        _mistake(one, at, label, list(thresholds), missed=missed),
                    )
                )
    return found


def _mistake(one: SourceScores, at: int, label: str, names: list[str], *, missed: bool) -> Mistake:
    plays = [name for name, on in zip(names, one.labels[at], strict=True) if on]
    highest = sorted(zip(one.scores[at].tolist(), names, strict=True), reverse=True)
    shown = {
        name: round(score, 3)
        for score, name in highest
        if name in plays or name == label or score >= highest[:3][-1][0]
    }
    return Mistake(
        "noise" if one.kind[at] in SILENCE_AND_NOISE else one.source,
        int(one.rows[at]),
        label,
        missed,
        plays,
        shown,
    )
