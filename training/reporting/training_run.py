"""How picture networks were trained: the split, the curves, what was measured in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.page import Html, chart, folded, join, legend, paragraph, stacked, table
from training.common import colours
from training.reporting import charts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

History = dict[str, list[dict[str, float]]]
"""Epochs by training."""
LOOK = "look_"
"""Begins the names of what is measured after the epochs that a recipe names."""
BEST_EPOCH_NOTE = "Networks have the weights of the lowest validation loss."
BEST_NOTE = "The best network."
CANDIDATES_NOTE = "One line a network, the best first; those of all pictures."
LOOKS_NOTE = "On the validation part, after the epochs that the recipe names in looks."
STAGES_NOTE = f"One line a stage, in order. {BEST_EPOCH_NOTE}"
SPLIT_NOTE = (
    "Pictures of each class in the parts of the split that was trained on, the largest class first."
)
SHOWN = 40
"""Rows of a table of classes; further ones are folded."""
CURVES = {
    "loss": "training loss",
    "valid_loss": "validation loss",
    "valid_accuracy": "validation accuracy",
}


def long_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Html:
    """Return a table of classes, of many folded from the 41st row on."""
    first, more = table(head, rows[:SHOWN]), rows[SHOWN:]
    return join(first, folded(f"The other {len(more):,}", table(head, more))) if more else first


def split_counts(counts: Mapping[str, Sequence[int]], classes: Sequence[str]) -> Html:
    """Return the pictures of each class by part as a table with a bar a class."""
    if not counts:
        return Html()
    parts = [(name, f"var(--c{colours.series_of(name, at)})", "") for at, name in enumerate(counts)]
    each = sorted(
        zip(classes, zip(*counts.values(), strict=True), strict=True),
        key=lambda one: -sum(one[1]),
    )
    most = max(sum(numbers) for _, numbers in each)
    shades = [colour for _, colour, _ in parts]
    rows = [
        [name, *(f"{n:,}" for n in numbers), stacked(numbers, shades, whole=most)]
        for name, numbers in each
    ]
    total = [sum(numbers) for numbers in counts.values()]
    whole = ["all", *(f"{n:,}" for n in total), stacked(total, shades, whole=sum(total))]
    table_of = long_table(["class", *counts, ""], [whole, *rows])
    return join(paragraph(SPLIT_NOTE, note=True), legend(parts), table_of)


def learning(history: History, *, note: str = STAGES_NOTE) -> Html:
    """Return the curves of trainings by name; of one or two epochs a table."""
    longest = max(map(len, history.values()))
    if longest < charts.FEWEST:
        rows = [
            [name, at, *(one[key] for key in CURVES)]
            for name, epochs in history.items()
            for at, one in enumerate(epochs, 1)
        ]
        head = ["training", "epoch", *CURVES.values()]
        return join(paragraph(note, note=True), table(head, rows))
    if len(history) == 1:
        (epochs,) = history.values()
        series = {"train": "loss", "valid": "valid_loss"}
        plots = [
            ("loss", "epoch", {part: _curve(epochs, key) for part, key in series.items()}),
            ("validation accuracy", "epoch", {"valid": _curve(epochs, "valid_accuracy")}),
        ]
        numbers = colours.PARTS
    else:
        plots = [
            (title, "epoch", {name: _curve(epochs, key) for name, epochs in history.items()})
            for key, title in CURVES.items()
        ]
        numbers = {}
    return chart(charts.lines(plots, dots=longest <= 12, numbers=numbers), note)


def _curve(epochs: list[dict[str, float]], key: str) -> tuple[list[float], list[float]]:
    return [float(at) for at in range(1, len(epochs) + 1)], [one[key] for one in epochs]


def best(report: dict[str, Any]) -> Html:
    """Return the curves of the model that became the artefact."""
    if not report["history"]:
        return Html()
    if report.get("matrices"):
        return learning(report["history"])
    several = len(report["history"]) > 1
    note = (
        "One line a training, named after the source that it did not see." if several else BEST_NOTE
    )
    return learning(report["history"], note=f"{note} {BEST_EPOCH_NOTE}")


def candidates(report: dict[str, Any]) -> Html:
    """Return the curves of every network, where several were trained."""
    found = report.get("candidates", {})
    return learning(found, note=CANDIDATES_NOTE) if len(found) > 1 else Html()


def looks(report: dict[str, Any]) -> Html:
    """Return what was measured after the epochs that the recipe names."""
    trainings = report.get("candidates") or report["history"]
    rows = [
        [name, at, one["valid_loss"], *(one[key] for key in one if key.startswith(LOOK))]
        for name, epochs in trainings.items()
        for at, one in enumerate(epochs, 1)
        if f"{LOOK}top1" in one
    ]
    if not rows:
        return Html()
    some = next(one for epochs in trainings.values() for one in epochs if f"{LOOK}top1" in one)
    keys = [key.removeprefix(LOOK) for key in some if key.startswith(LOOK)]
    names = [f"top-{key[3:]}" if key.startswith("top") else "macro-F1" for key in keys]
    head = ["training", "epoch", "validation loss", *names]
    return join(paragraph(LOOKS_NOTE, note=True), table(head, rows))
