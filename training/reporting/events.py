"""The figures of events, for report.html and report.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from common.page import Html, join, paragraph
from common.page import table as page_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from training.evaluation.metrics import Metrics

Table: TypeAlias = "tuple[list[str], list[list[Any]]]"
"""Head and rows."""
KINDS = {
    "macro-F1": "macro_f1",
    "macro-F1, onsets only": "macro_f1_onset",
    "macro-F1, default settings": "macro_f1_defaults",
    "macro-F1, baseline": "macro_f1_baseline",
    "micro-F1, with events of labels that never sound": "micro_f1",
}
"""Rows of the table of collars."""
MIDDLE = "0.5"
"""The collar of precision and recall by label."""
SPACE = "\N{NO-BREAK SPACE}"
HOW = (
    "A predicted event is right if its onset is within the collar of a true one's of the same "
    "label, and its offset within the collar or half of the true event's length, whichever is "
    "longer (Mesaros, Heittola, Virtanen 2016, as sed_eval); each event counts once. The baseline "
    "knows which labels a recording has, and predicts one event of each over its whole length."
)


def section(events: Metrics | None) -> Html:
    """Return the section of report.html; nothing where no onsets were known."""
    if not events:
        return Html()
    notes = [paragraph(text, note=True) for text in notes_of(events)]
    shown = [page_table(*each, words=["settings"]) for each in _tables(events)]
    return join(*notes, *shown)


def tables(events: Metrics, write: Callable[[Sequence[str], Sequence[Any]], str]) -> list[str]:
    """Return the section of report.md. write: a table as Markdown."""
    return [*notes_of(events), *(write(*each) for each in _tables(events))]


def notes_of(events: Metrics) -> list[str]:
    """Return what was measured, and where onsets are told, as paragraphs."""
    if "recordings" not in events:
        return ["No recording with known onsets was left to test with: settings only."]
    found = (
        f"{_several(events['recordings'], 'recording')} of {_several(events['sources'], 'source')} "
        f"that the model was not trained on, {events['seconds'] / 60:.1f} minutes, in windows of "
        f"{events['window_s']:.1f} s every {events['hop_s']:.2f} s; pauses of up to "
        f"{events['pause_s']:.1f} s, which no window can show, do not divide true events. "
    )
    return [found + HOW, *_bias(events["onset_error"])]


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"


def _bias(error: dict[str, float] | None) -> list[str]:
    if not error:
        return []
    when = "early" if error["median"] < 0 else "late"
    text = (
        f"Onsets are told {abs(error['median']):.2f} s too {when} (median of {error['count']}; "
        f"quartiles {error['lower']:+.2f} and {error['upper']:+.2f} s). An onset is told at the "
        "middle of its window, so this is the bias of a model that hears a label once "
        f"{error['share']:.0%} of the window is of it."
    )
    return [text]


def _tables(events: Metrics) -> list[Table]:
    return [*([_by_collar(events), _by_label(events)] if "labels" in events else []), _set(events)]


def _by_collar(events: Metrics) -> Table:
    collars = list(events["macro_f1"])
    rows = [[what, *(events[key][c] for c in collars)] for what, key in KINDS.items()]
    same = [events["macro_f1_windows"]] * len(collars)
    return ["collar", *(f"{c}{SPACE}s" for c in collars)], [*rows, ["macro-F1, windows", *same]]


def _by_label(events: Metrics) -> Table:
    collars = list(events["macro_f1"])
    head = ["label", "events", "predicted", *(f"F1 {c}{SPACE}s" for c in collars)]
    head += [
        f"precision {MIDDLE}{SPACE}s",
        f"recall {MIDDLE}{SPACE}s",
        f"baseline {MIDDLE}{SPACE}s",
        "F1 windows",
    ]
    rows = [
        [
            name,
            one["events"],
            one["predicted"],
            *(one["f1"][c] for c in collars),
            one["precision"][MIDDLE],
            one["recall"][MIDDLE],
            one["f1_baseline"][MIDDLE],
            one["f1_windows"],
            one["onset_error"]["median"] if one["onset_error"] else None,
        ]
        for name, one in events["labels"].items()
    ]
    return [*head, f"onset error{SPACE}(s)"], rows


def _set(events: Metrics) -> Table:
    head = ["label", "threshold", "off", "gap", "min_length", "rise", "settings"]
    rows = [
        [name, *(float(one[key]) for key in head[1:-1]), one["why"]]
        for name, one in events["settings"].items()
    ]
    return head, rows
