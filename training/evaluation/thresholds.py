"""Decision thresholds of labels, calibrated on sources that the model did not train on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from training.evaluation.metrics import SILENCE_AND_NOISE, WITHOUT_LABEL

if TYPE_CHECKING:
    from training.evaluation.metrics import Mask, Scores

LEAST, MOST = 0.05, 0.95
GRID = np.linspace(LEAST, MOST, 91)


def calibrate(
    scores: Scores,
    labels: Mask,
    *,
    source: npt.NDArray[np.str_],
    kind: npt.NDArray[np.str_],
    quiet: float = 0.99,
    beta: float = 1.0,
    mixtures: float = 0.0,
) -> npt.NDArray[np.float32]:
    """Return a threshold per label, (labels,): the best F-beta that keeps noise without labels.

    scores, labels: (windows, labels) out of fold. Each source counts the same, whatever its size;
    mixtures: the share of that which its windows of several labels have, 0 for as many as they are.
    At least the share `quiet` of the windows without a label (noise, silence, background) gets none
    at all; that comes before F, for which a label on background is false. With `beta` below 1 a
    false label weighs more than a missing one (van Rijsbergen, Information Retrieval, 1979,
    chapter 7). A label without a positive window that counts gets 0.5, or more
    where noise and silence need it.
    """
    counts = ~np.isin(kind, SILENCE_AND_NOISE)
    floors = lowest_quiet(scores[np.isin(kind, WITHOUT_LABEL)], quiet)
    weight = _weights(source[counts], labels[counts].sum(axis=1) > 1, mixtures)
    return np.array(
        [
            _best(scores[counts, i], labels[counts, i], weight, floor, beta)
            for i, floor in enumerate(floors)
        ],
        np.float32,
    )


def lowest_quiet(scores: Scores, quiet: float) -> npt.NDArray[np.float64]:
    """Return the lowest thresholds that leave at most 1 - quiet of these windows with a label.

    The windows with the highest false scores are ignored; the rest decide label by label.
    """
    if not len(scores):
        return np.zeros(scores.shape[1])
    ignored = min(int(len(scores) * (1 - quiet)), len(scores) - 1)
    kept = scores[np.argsort(scores.max(axis=1))[: len(scores) - ignored]]
    return np.asarray(kept.max(axis=0) + 1e-4, np.float64)


def _best(
    scores: Scores, truth: Mask, weight: npt.NDArray[np.float64], floor: float, beta: float
) -> float:
    allowed = np.append(GRID[floor < GRID], min(max(floor, LEAST), 1.0))
    if not weight[truth].any():
        return float(max(0.5, floor))
    return float(max(allowed, key=lambda threshold: _f(scores >= threshold, truth, weight, beta)))


def _f(predicted: Mask, truth: Mask, weight: npt.NDArray[np.float64], beta: float) -> float:
    right, false, missed = (
        float(weight[part].sum())
        for part in (predicted & truth, predicted & ~truth, ~predicted & truth)
    )
    return (1 + beta**2) * right / max(1e-12, (1 + beta**2) * right + false + beta**2 * missed)


def _weights(
    source: npt.NDArray[np.str_], several: Mask, mixtures: float
) -> npt.NDArray[np.float64]:
    weights = np.zeros(len(source))
    for each in np.unique(source):
        parts = [source == each]
        shares = [1.0]
        if mixtures and several[parts[0]].any() and not several[parts[0]].all():
            parts = [parts[0] & ~several, parts[0] & several]
            shares = [1 - mixtures, mixtures]
        for part, share in zip(parts, shares, strict=True):
            weights[part] = share / part.sum()
    return weights
