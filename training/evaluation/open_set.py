"""Thresholds that leave other sounds without a label, and what they cost on those that are known.

"None of these" is the answer where no score reaches its threshold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from training.evaluation.metrics import f1_by_label
from training.evaluation.thresholds import lowest_quiet

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from training.evaluation.metrics import Mask, Metrics, Scores

    Limits = npt.NDArray[np.floating[Any]]

SHARES = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Of other sounds without a label, that the table has."""
AS_CALIBRATED = "as calibrated"
ONE_FOR_ALL = "one threshold for all labels"


def floors(scores: Scores, share: float) -> npt.NDArray[np.float64]:
    """Return the lowest thresholds (labels,) that leave a share of other sounds without a label.

    scores: (n, labels) of other sounds. Of a share of 0 all are 0.
    """
    if not share or not len(scores):
        return np.zeros(scores.shape[1])
    return np.minimum(lowest_quiet(scores, share), 1.0)


def compare(
    known: Scores,
    truth: Mask,
    limits: Limits,
    *,
    chosen_on: Scores,
    judged_on: Scores,
    kinds: Sequence[str],
) -> Metrics:
    """Return by way to set thresholds what it costs on known sounds and what it rejects of others.

    known, truth: (n, labels) of sources left out. limits: thresholds before other sounds are
    considered. chosen_on, judged_on: scores of other sounds that thresholds are chosen on, and of
    others; kinds: of the latter. `macro_f1`, `missed` (share of windows with a label that get none)
    and `rejected` (share of other sounds without a label), and that of each kind. The last rows are
    the trivial way: one threshold for all labels that rejects as many.
    """
    named = np.array(kinds)
    ways = {AS_CALIBRATED: limits}
    for share in SHARES:
        ways[f"{share:.0%}"] = np.maximum(limits, floors(chosen_on, share))
    for share in SHARES:
        most = lowest_quiet(chosen_on.max(axis=1, keepdims=True), share)
        ways[f"{share:.0%}, {ONE_FOR_ALL}"] = np.full(len(limits), min(float(most[0]), 1.0))
    return {name: _figures(known, truth, way, judged_on, named) for name, way in ways.items()}


def _figures(
    known: Scores, truth: Mask, limits: Limits, others: Scores, kinds: npt.NDArray[np.str_]
) -> dict[str, Any]:
    on, labelled = known >= limits, truth.any(axis=1)
    rejected = np.logical_not((others >= limits).any(axis=1)).reshape(-1)
    scores = [value for value in f1_by_label(on, truth) if value is not None]
    return {
        "macro_f1": float(np.mean(scores)) if scores else None,
        "missed": float((~on[labelled].any(axis=1)).mean()) if labelled.any() else None,
        "rejected": float(rejected.mean()) if len(rejected) else None,
        "kinds": {
            str(kind): float(rejected[kinds == kind].mean())
            for kind in dict.fromkeys(kinds.tolist())
        },
    }
