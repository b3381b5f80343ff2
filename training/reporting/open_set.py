"""What it costs to leave other sounds without a label, for report.html and report.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.page import Html, join, paragraph
from common.page import table as page_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from training.evaluation.metrics import Metrics

HEADING = "None of these"
HOW = (
    "Sounds that are none of the labels: generated noise, tones, beats, and what is like speech "
    "and like music, with those of others.path. A model on a network given by path learns from a "
    "third of them that they have no label. On another third, thresholds are raised until the "
    "share that the row names gets no label; *rejected* is the share of the last third without "
    "one, then by kind. *macro-F1* and *missed* (windows with a label that get none) are of "
    "sources that the model did not train on. The last rows are the trivial way: one threshold for "
    "all labels. others.share chooses a row; the artefact has: "
)


def section(found: Metrics | None) -> Html:
    """Return the section of report.html; nothing where nothing was compared."""
    if not found:
        return Html()
    return join(paragraph(how(found).replace("*", ""), note=True), page_table(*_table(found)))


def tables(found: Metrics, write: Callable[[Sequence[str], Sequence[Any]], str]) -> list[str]:
    """Return the section of report.md. write: a table as Markdown."""
    return [how(found), write(*_table(found))]


def how(found: Metrics) -> str:
    """Return the note, with the share that the artefact's thresholds were raised to."""
    share = found["share"]
    return HOW + (f"{share:.0%}." if share else "thresholds as calibrated, for others.share is 0.")


def _table(found: Metrics) -> tuple[list[str], list[list[Any]]]:
    kinds = list(next(iter(found["ways"].values()))["kinds"])
    rows = [
        [name, way["macro_f1"], way["missed"], way["rejected"], *(way["kinds"][k] for k in kinds)]
        for name, way in found["ways"].items()
    ]
    return ["thresholds", "macro-F1", "missed", "rejected", *kinds], rows
