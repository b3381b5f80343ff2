"""Thresholds of the validation part and figures of the test part, for the recipe `sounds`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np

from training.common.model_settings import BACKBONE
from training.evaluation import leave_one_out
from training.evaluation.generated_noise import noise_floors, share_without_label
from training.evaluation.leave_one_out import SourceScores
from training.evaluation.metrics import BACKGROUND, measure
from training.pipelines.sound_model import kind_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from features.config import Kind
    from training.evaluation.leave_one_out import Fitted
    from training.evaluation.metrics import Metrics
    from training.pipelines.other_sounds import Scored
    from training.pipelines.sound_model import Candidate
    from training.recordings.settings import SoundsRecipe
    from training.recordings.table import Table

ONE_BY_ONE = 40
"""Test sources up to which the report has a row for each."""
COST = 0.02
"""Loss of macro-F1 to noise thresholds from which on it is told."""
BLOCK = 1024
"""Windows that are scored at a time, so that their tensors need not fit into memory."""


def calibrate(
    recipe: SoundsRecipe, fitted: Fitted, model: str, table: Table, unknown: Scored | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], Metrics]:
    """Return the thresholds chosen on the validation part, then raised, and the metrics there.

    They are high enough for the promotion check, if any are; those that follow are also high enough
    for the share of other sounds. Without a validation part they begin at 0.5 and the metrics are
    empty.
    """
    rows = table.rows("valid")
    share = recipe.others.share
    if not len(rows):
        half = np.full(len(table.names), 0.5, np.float32)
        return half, unknown.raised(half, share) if unknown else half, {}
    kind = kind_of(recipe, model)
    floors = noise_floors(fitted, kind, table.config, quiet=recipe.quiet) if recipe.quiet else 0
    by_source = evaluate(fitted, kind, table, rows)
    chosen = leave_one_out.thresholds(by_source, quiet=recipe.quiet)
    quiet = np.minimum(np.ceil(1e4 * np.maximum(chosen, floors)) / 1e4, 1).astype(np.float32)
    thresholds = unknown.raised(quiet, share) if unknown else quiet
    before, after, found = (
        figures(by_source, limits, table.names) for limits in (chosen, quiet, thresholds)
    )
    _print_cost(model, before, after)
    return quiet, thresholds, found


def _print_cost(model: str, before: Metrics, after: Metrics) -> None:
    """Say what keeping noise without a label costs, and what helps."""
    was, now = (metrics.get("macro_f1") or 0.0 for metrics in (before, after))
    if now < was - COST:
        print(
            f"{model}: macro-F1 on the validation part {was:.2f} -> {now:.2f}, for thresholds were "
            "raised until noise and silence get no label; examples of those in the training help "
            "(collection.nothing, collection.background), or a lower share of them (quiet)",
            file=sys.stderr,
        )


def evaluate(
    fitted: Fitted, kind: Kind, table: Table, rows: npt.NDArray[np.int64], *, together: bool = False
) -> list[SourceScores]:
    """Return scores by source; `together`: as one, where there are too many sources for a table."""
    if not len(rows):
        return []
    groups = np.asarray(table.groups[rows])
    names = np.array(table.sources)[groups]
    if together and len(np.unique(groups)) > ONE_BY_ONE:
        names = np.full(len(rows), f"{len(np.unique(groups))} sources")
    tensors = table.tensors(kind)
    blocks = (rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK))
    scores = np.concatenate(
        [fitted.scores(np.asarray(tensors[block], np.float32)) for block in blocks]
    )
    labels = np.asarray(table.labels[rows])
    what = np.array([BACKGROUND, "solo", "mix"])[np.minimum(labels.sum(axis=1), 2)]
    parts = [(str(name), np.flatnonzero(names == name)) for name in np.unique(names)]
    return [
        SourceScores(name, scores[at], labels[at], what[at], rows[at], groups[at])
        for name, at in parts
    ]


def figures(
    evaluated: Sequence[SourceScores], limits: npt.NDArray[np.float32], names: Sequence[str]
) -> Metrics:
    """Return the metrics of all windows of some sources together."""
    whole = leave_one_out.together(evaluated)
    return measure(whole.scores, whole.labels, whole.kind, thresholds=limits, names=names)


def metrics_of(
    fitted: Fitted,
    kind: Kind,
    table: Table,
    evaluated: Sequence[SourceScores],
    limits: npt.NDArray[np.float32],
) -> Metrics:
    """Return the figures of the test part as a manifest has them.

    `left_out`: of each source. `mean`: of all their windows together, for a source of one label has
    nothing that could be taken for it; and the share of the promotion check's noise that gets no
    label.
    """
    by_source = {one.source: figures([one], limits, table.names) for one in evaluated}
    whole = figures(evaluated, limits, table.names) if evaluated else {}
    noise = share_without_label(fitted, kind, table.config, limits)
    mean = whole | {"noise_without_label": noise}
    return {"left_out": by_source, "mean": mean, "never_trained_on": {}}


def best_of(candidates: Sequence[Candidate]) -> tuple[Candidate, str]:
    """Return the best model on the validation part; where nothing tells, one, and why that.

    Then it is the network that the recipe names, if any, else the first of the models.
    """
    known = [one for one in candidates if one.metrics["valid"].get("macro_f1") is not None]
    if known:
        return max(known, key=lambda one: float(one.metrics["valid"]["macro_f1"])), ""
    named = [one for one in candidates if one.model == BACKBONE]
    best = (named or list(candidates))[0]
    others = [one.model for one in candidates if one is not best]
    if not others:
        return best, ""
    reason = "the network that is named (network.backbone)" if named else "the first of the models"
    why = (
        f"No labelled window of a validation part tells which of {len(candidates)} models is best: "
        f"this is {best.model}, {reason}; {', '.join(others)} not written."
    )
    print(why, file=sys.stderr)
    return best, why
