"""From the figures of report.json to the sections of report.html."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from common.page import Html, bar, chart, escape, folded, join, paragraph, table
from training.reporting import charts, events, markdown, open_set, threshold_choices
from training.reporting.confusion import confusion, pairs_of

Play: TypeAlias = Callable[[int], tuple[str, str]]
"""From the row of a test window to its sound and its picture, as data URIs."""
SOURCE_COLUMNS = {
    head: key for head, key in markdown.COLUMNS.items() if head not in ("notes", "phrases")
}
HOW = (
    "Every row is the evaluation of a model, and of thresholds, that were not trained on the "
    "source in the row, on windows that are not augmented."
)
COLUMNS_NOTE = {
    "accuracy": "Accuracy is element-wise, beside that of a model that predicts no label.",
    "mixtures": "Mixtures: macro-F1 over windows of two to four labels.",
    "top-1": "Top-1 is over windows of one label, beside the most frequent one.",
    "whole notes": "Whole notes, and whole solos of 10 s: top-1 over recordings.",
    "all on": "All on: F1 of a model that predicts every label everywhere.",
    "one score": "One score: mAP of the same score for every window, their share with the label.",
    "quiet": "Quiet: share of the windows without a label that get none.",
    "generated noise": "Generated noise: the same of noise and silence of the promotion check.",
}
"""What a column of the table of sources is, if it is there."""
SHOWN = 24
"""Labels with a small chart each; those of more are folded."""
LEARNING = {
    "loss": "training loss",
    "held_out_loss": "loss on windows not trained on",
    "held_out_map": "mAP on windows not trained on",
}


def sections(report: dict[str, Any], play: Play) -> list[tuple[str, Html]]:
    """Return heading and content of every section that the report has something for."""
    evaluated = bool(report.get("sources"))
    made = [
        ("Sources", _sources(report))
        if evaluated
        else (
            "Sources",
            paragraph("No source was kept from the training: there is no evaluation."),
        ),
        ("Labels", _labels(report)) if evaluated else ("Thresholds", _thresholds(report)),
        ("Learning", _learning(report["history"]) if report.get("history") else Html()),
    ]
    if evaluated:
        made += [
            ("Confusion", _confusion(report)),
            ("Precision and recall", _curves(report)),
            ("Thresholds", _sweeps(report)),
            ("Calibration", _calibration(report["reliability"])),
            ("Worst mistakes", _mistakes(report["mistakes"], play)),
        ]
    return [
        *made,
        (threshold_choices.HEADING, threshold_choices.section(report.get("threshold_choices"))),
        (open_set.HEADING, open_set.section(report.get("open_set"))),
        ("Events", events.section(report.get("events"))),
        ("Ensemble", _ensemble(report.get("ensemble"))),
        ("Material", material(report)),
        ("Origin", origin(report)),
    ]


def _sources(report: dict[str, Any]) -> Html:
    head, rows = markdown.by_source(
        report["sources"], report["mean"], report["never_trained_on"], columns=SOURCE_COLUMNS
    )
    band = any(low < high for _, low, high in report["intervals"].values())
    name = markdown.summary(report["mean"])
    line = "all of their windows together" if name == markdown.TOGETHER else "the mean"
    caption = f"A dot is a source that the model did not train on, the line {line}"
    caption += ", the band its 95 % interval, sources drawn with replacement." if band else "."
    note = " ".join([HOW, *(text for name, text in COLUMNS_NOTE.items() if name in head)])
    drawn = charts.intervals(report["figures"], report["intervals"])
    return join(
        paragraph(note, note=True),
        chart(drawn, caption) if report["intervals"] else Html(),
        table(head, rows, strong=name),
    )


def _labels(report: dict[str, Any]) -> Html:
    rows = [
        [
            name,
            one["support"],
            one["threshold"],
            one["precision"],
            one["recall"],
            bar(one["f1"]),
            one["f1_all_on"],
            bar(one["average_precision"]),
            one["share"],
        ]
        for name, one in report["labels"].items()
    ]
    note = paragraph(
        "All sources together, each scored by the model that did not train on it, with the shipped "
        "thresholds. All on: F1 where every window gets the label; one score: average precision "
        "of the same score for every window, the share of windows with the label.",
        note=True,
    )
    head = ["label", "windows", "threshold", "precision", "recall", "F1", "all on"]
    return join(note, table([*head, "average precision", "one score"], rows))


def _thresholds(report: dict[str, Any]) -> Html:
    return table(["label", "threshold"], list(report["thresholds"].items()))


def _learning(history: dict[str, list[dict[str, float]]]) -> Html:
    history = {name: entries_of for name, entries_of in history.items() if entries_of}
    if not history:
        return Html()
    entries = next(iter(history.values()))
    unit = "trees" if "trees" in entries[0] else "epoch"
    if max(map(len, history.values())) < charts.FEWEST:
        rows = [
            [source, at, *(e.get(key) for key in LEARNING)]
            for source, entries_of in history.items()
            for at, e in enumerate(entries_of, 1)
        ]
        return table(["training", unit, *LEARNING.values()], rows)
    plots = []
    for key, title in LEARNING.items():
        if key in entries[0]:
            series = {
                source: (
                    [e.get("trees", at + 1) for at, e in enumerate(entries_of)],
                    [e[key] for e in entries_of],
                )
                for source, entries_of in history.items()
            }
            plots.append((title, unit, series))
    caption = "A line a training." if len(history) > 1 else ""
    return chart(charts.lines(plots), caption) if plots else Html()


def _confusion(report: dict[str, Any]) -> Html:
    note = (
        "Windows of one label, all sources: of those in which the row plays, "
        "the percentage in which the column has the highest score."
    )
    return join(
        paragraph(note, note=True),
        confusion(list(report["thresholds"]), pairs_of(report["confusion"])),
    )


def _curves(report: dict[str, Any]) -> Html:
    known = {
        name: one for name, one in report["labels"].items() if one["average_precision"] is not None
    }
    return _multiples(
        {
            name: (np.array(one["curve"]["recall"]), np.array(one["curve"]["precision"]))
            for name, one in known.items()
        },
        "The dot is where the threshold puts the label.",
        marks={name: (one["recall"], one["precision"] or 0.0) for name, one in known.items()},
        notes={name: f"AP {one['average_precision']:.2f}" for name, one in known.items()},
        below="recall",
        beside="precision",
    )


def _multiples(
    curves: dict[str, tuple[Any, Any]],
    caption: str,
    *,
    marks: dict[str, tuple[float, float]],
    **words: Any,
) -> Html:
    """Return a small chart a label; of many, those with the lowest marks, the others folded."""
    if not curves:
        return Html()
    order = list(curves)
    if len(order) > SHOWN:
        order.sort(key=lambda name: min(marks[name]))
        caption = f"The {SHOWN} weakest of {len(order)} labels. {caption}"
    drawn = [
        charts.multiples({name: curves[name] for name in some}, marks=marks, **words)
        for some in (order[:SHOWN], order[SHOWN:])
        if some
    ]
    more = [folded(f"The other {len(order) - SHOWN} labels", chart(one, "")) for one in drawn[1:]]
    return join(chart(drawn[0], caption), *more)


def _sweeps(report: dict[str, Any]) -> Html:
    known = {name: one for name, one in report["labels"].items() if one["support"]}
    return _multiples(
        {
            name: (np.array(one["sweep"]["threshold"]), np.array(one["sweep"]["f1"]))
            for name, one in known.items()
        },
        "A dot away from the top of its curve: other sources, noise and silence, "
        "or a lowest threshold decided.",
        marks={name: (one["threshold"], one["f1"]) for name, one in known.items()},
        notes={name: f"at {one['threshold']:.2f}" for name, one in known.items()},
        below="threshold",
        beside="F1",
    )


def _calibration(reliability: dict[str, Any]) -> Html:
    distance = reliability["expected_calibration_error"]
    caption = f"On the dashed line a score is a probability. Mean distance from it: {distance:.3f}."
    return chart(charts.reliability(reliability["bins"]), caption)


def _mistakes(mistakes: list[dict[str, Any]], play: Play) -> Html:
    note = (
        "The scores furthest on the wrong side of a threshold, no two alike. "
        "All are played at one loudness."
    )
    clips = "".join(_clip(mistake, *play(mistake["row"])) for mistake in mistakes)
    return (
        join(paragraph(note, note=True), Html(f'<div class="clips">{clips}</div>'))
        if mistakes
        else Html()
    )


def _clip(mistake: dict[str, Any], sound: str, picture: str) -> str:
    scores = ", ".join(
        f"{_named(name, mistake)} {score:.2f}" for name, score in mistake["scores"].items()
    )
    wrong = f"{'misses' if mistake['missed'] else 'predicts'} {mistake['label']}"
    return (
        f'<div class="clip"><img alt="spectrogram" src="{picture}">'
        f'<audio controls preload="metadata" src="{sound}"></audio>'
        f"<dl><dt>plays</dt><dd>{escape(', '.join(mistake['plays']) or 'nothing')}</dd>"
        f'<dt>mistake</dt><dd class="wrong">{escape(wrong)}</dd><dt>scores</dt><dd>{scores}</dd>'
        f"<dt>source</dt><dd>{escape(mistake['source'])}</dd></dl></div>"
    )


def _named(name: str, mistake: dict[str, Any]) -> str:
    kind = (
        "wrong" if name == mistake["label"] else "right" if name in mistake["plays"] else "neither"
    )
    return f"<span class={kind}>{escape(name)}</span>"


def _ensemble(ensemble: dict[str, Any] | None) -> Html:
    if not ensemble:
        return Html()
    note = (
        f"A real recording, never trained on: of {ensemble['windows']} windows "
        f"{ensemble['some_right_label']:.0%} "
        f"get a label of what plays, {ensemble['some_wrong_label']:.0%} one of what does not."
    )
    rows = [[label, bar(share)] for label, share in ensemble["share_by_label"].items()]
    return join(paragraph(note), table(["label", "share of windows"], rows))


def material(report: dict[str, Any]) -> Html:
    """Return the table of the training and test material."""
    columns = ["source", "licence", "use"]
    return table(
        columns, [[entry[key] for key in columns] for entry in report["provenance"]], words=columns
    )


def origin(report: dict[str, Any]) -> Html:
    """Return what it takes to make the artefact again."""
    made_by = dict(report["origin"])
    recipe = made_by.pop("recipe", "")
    facts = {"created": report["created"], **made_by, **report["libraries"], **report["files"]}
    rows = [[name, value if value != "" else None] for name, value in facts.items()]
    return join(
        table(["", " "], rows, words=[" "]),
        folded("The exact recipe", recipe) if recipe else Html(),
    )
