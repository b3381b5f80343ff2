"""report.md of an artefact: the tables a person needs to decide whether to trust the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from training.evaluation.metrics import SINGLE, Metrics, confusion
from training.reporting import events, open_set, threshold_choices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.evaluation.leave_one_out import SourceScores

FIGURES = """\
*Accuracy* is element-wise (right cells of windows x labels), beside that of a model that predicts
no label. Macro-F1 and mAP are over the labels that the source has; *mixtures* is macro-F1 on
windows of two to four labels. Beside each F1 stands *all on*, that of a model that predicts every
label everywhere, and beside mAP that of *one score* for all windows, which is the share of windows
with a label; mAP of a label that is in all windows is left out. *Top-1*: on windows of one label
(for instruments: single notes and phrases) the highest score is the right label; the baseline is
the most frequent label. *Quiet*: share of the windows without a label that get none.
"""
TOGETHER = "all together"
"""The row of all windows of the test part."""
RECORDINGS = """\
*Whole notes* and *whole solos*: top-1 once per recording, by the mean score of its windows; solos
of 10 s are played with the notes of the source in the row.
"""
HOW = (
    "One source left out at a time",
    "Every row is the evaluation of a model, and of thresholds, that were not trained on the "
    "source in the row;\ntest windows are not augmented. Test noises are other draws of the "
    "generators of the training noises.\n" + FIGURES,
)
"""Heading and text: how a left-out source is evaluated."""

COLUMNS: dict[str, str] = {
    "windows": "windows",
    "accuracy": "accuracy",
    "all negative": "accuracy_all_negative",
    "micro-F1": "micro_f1",
    "all on (micro)": "micro_f1_all_on",
    "macro-F1": "macro_f1",
    "all on": "macro_f1_all_on",
    "mixtures": "macro_f1_mixture",
    "all on (mixtures)": "macro_f1_mixture_all_on",
    "mAP": "mean_average_precision",
    "one score": "mean_average_precision_constant",
    "top-1": "top1",
    "notes": "top1_note",
    "phrases": "top1_solo",
    "whole notes": "top1_recording_note",
    "whole solos": "top1_recording_solo",
    "majority": "top1_majority",
    "quiet": "quiet_without_label",
    "generated noise": "noise_without_label",
}


def write(
    name: str,
    *,
    about: str,
    candidates: dict[str, Metrics],
    metrics: Metrics,
    evaluated: Sequence[SourceScores],
    thresholds: dict[str, float],
    provenance: Sequence[dict[str, str]],
    how: tuple[str, str] = HOW,
) -> str:
    """Return the report as Markdown.

    about: one paragraph. candidates: the metrics of every model that was made, the best first.
    metrics, evaluated, thresholds: those of this one. how: heading and text that explain the
    evaluation.
    """
    parts = [f"# {name}", about]
    if metrics["left_out"]:
        recordings = (
            [RECORDINGS] if "recordings" in next(iter(metrics["left_out"].values())) else []
        )
        parts += [f"## {how[0]}", how[1], *recordings, *_summaries(candidates)]
        parts += ["## F1 (windows) per label", _labels(metrics, thresholds)]
        parts += ["## Confusion", *_confusions(evaluated, list(thresholds))]
    if choices := metrics.get("threshold_choices"):
        parts += [f"## {threshold_choices.HEADING}", *threshold_choices.tables(choices, table)]
    if others := metrics.get("open_set"):
        parts += [f"## {open_set.HEADING}", *open_set.tables(others, table)]
    if "oob" in metrics:
        parts += ["## Out of bag", _out_of_bag(metrics["oob"])]
    if "events" in metrics:
        parts += ["## Events", *events.tables(metrics["events"], table)]
    if "ensemble" in metrics:
        parts += ["## Ensemble recording, never trained on", _ensemble(metrics["ensemble"])]
    parts += [
        "## Material",
        table(["source", "licence", "use"], [list(p.values()) for p in provenance]),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a Markdown table; the first column is text, the others are numbers."""
    lines = [
        head,
        ["---", *["---:"] * (len(head) - 1)],
        *([_text(cell) for cell in row] for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_source(
    left_out: dict[str, Metrics],
    mean: Metrics,
    never_trained_on: dict[str, Metrics],
    *,
    columns: dict[str, str] = COLUMNS,
) -> tuple[list[str], list[list[Any]]]:
    """Return head and rows of the table of sources. columns: heading to metric."""
    never = {f"{source} (never trained on)": m for source, m in never_trained_on.items()}
    each = left_out | {summary(mean): mean} | never
    # Artefacts of other recipes have no whole recordings, older ones fewer figures.
    shown = {
        head: key
        for head, key in columns.items()
        if any(m.get(key) is not None for m in each.values())
    }
    rows = [[source, *(m.get(key) for key in shown.values())] for source, m in each.items()]
    return ["source", *shown], rows


def summary(mean: Metrics) -> str:
    """Return what the row of these figures is called: only those of all windows count windows."""
    return TOGETHER if "windows" in mean else "mean"


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    return f"{cell:z.3f}" if isinstance(cell, float) else str(cell)


def _summaries(candidates: dict[str, Metrics]) -> list[str]:
    parts = []
    for name, metrics in candidates.items():
        head, rows = by_source(metrics["left_out"], metrics["mean"], metrics["never_trained_on"])
        parts += [f"**{name}**", table(head, rows)]
    return parts


def _labels(metrics: Metrics, thresholds: dict[str, float]) -> str:
    whole = metrics["mean"]
    together = {TOGETHER: whole} if summary(whole) == TOGETHER else {}
    sources = together | metrics["left_out"] | metrics["never_trained_on"]
    cells = [
        [
            label,
            threshold,
            *(f"{_text(m['f1'][label])} ({m['support'][label]})" for m in sources.values()),
        ]
        for label, threshold in thresholds.items()
    ]
    return table(["label", "threshold", *sources], cells)


def _confusions(evaluated: Sequence[SourceScores], labels: Sequence[str]) -> list[str]:
    """Return a confusion matrix by source: rows what plays, columns the highest score."""
    parts, short = [], [label[:5] for label in labels]
    heads = short if len(set(short)) == len(short) else labels
    for one in evaluated:
        single = np.isin(one.kind, SINGLE)
        counts = confusion(one.scores[single], one.labels[single])
        rows = [
            [label, *line] for label, line in zip(labels, counts.tolist(), strict=True) if any(line)
        ]
        parts += [f"**{one.source}**", table(["plays", *heads], rows)]
    return parts


def _out_of_bag(oob: Metrics) -> str:
    return (
        f"Scored by the trees that did not draw them, {oob['score']:.4f} of {oob['windows']:.0f} "
        f"training windows have all labels right, and {oob['elementwise']:.4f} of their single "
        "labels are right. Windows of one recording are on both sides, so this flatters."
    )


def _ensemble(ensemble: Metrics) -> str:
    shares = [[label, share] for label, share in ensemble["share_by_label"].items()]
    return (
        f"{ensemble['windows']} windows: {ensemble['some_right_label']:.0%} get a label of what "
        f"plays, {ensemble['some_wrong_label']:.0%} one of what does not.\n\n"
        f"{table(['label', 'share of windows'], shares)}"
    )
