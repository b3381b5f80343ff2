"""What each choice of thresholds costs, for report.html and report.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.page import Html, join, paragraph
from common.page import table as page_table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from training.evaluation.metrics import Metrics

HEADING = "What each choice of thresholds costs"
COLUMNS = {
    "macro-F1, one label": "macro_f1_single",
    "macro-F1, mixtures": "macro_f1_mixture",
    "a wrong label": "wrong_single",
    "no label": "nothing_single",
    "quiet": "quiet_without_label",
}
HOW = (
    "The threshold of a label is the one with the least loss 1 - F-beta on the sources not left "
    "out, each source with the same weight, among those that leave noise and silence without a "
    "label. F-0.8 counts a false label for more than a missing one, F-1.25 for less. *Mixtures*: "
    "the share of a source's weight that its windows of several labels have. The first row is what "
    "the artefact has; the last cannot be reached. Mean over the sources left out. *A wrong label* "
    "and *no label*: shares of the windows of one label that get another, or none."
)


def section(choices: Metrics | None) -> Html:
    """Return the section of report.html; nothing where there was nothing to compare."""
    if not choices:
        return Html()
    return join(paragraph(HOW.replace("*", ""), note=True), page_table(*_table(choices)))


def tables(choices: Metrics, write: Callable[[Sequence[str], Sequence[Any]], str]) -> list[str]:
    """Return the section of report.md. write: a table as Markdown."""
    return [HOW, write(*_table(choices))]


def _table(choices: Metrics) -> tuple[list[str], list[list[Any]]]:
    rows = [[name, *(found[key] for key in COLUMNS.values())] for name, found in choices.items()]
    return ["thresholds", *COLUMNS], rows
