"""Confusion matrices of any size: a table of numbers, or of many classes a field of cells."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from common.page import Html, escape, matrix
from common.strict_json import to_json
from training.evaluation.metrics import LARGEST_MATRIX

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT = Path(__file__).with_suffix(".js")
SHADES = 8
"""Steps of the colour of a cell."""
LONGEST = 28
"""Characters of a label beside a field of cells; the whole is told with the count."""
MOST_NAMED = 1000
"""Classes up to which each row and column has its label; of more, none could be read."""
MARGIN = 14.0
"""Room for the labels above and left of the cells, in cells."""
Pairs = list[list[int]]
"""[number of the true class, of the predicted one, count], where the count is not 0."""


def confusion(labels: Sequence[str], pairs: Sequence[Sequence[int]]) -> Html:
    """Return the confusion matrix: up to 40 classes as a table, more as coloured cells.

    pairs: (true, predicted, count) by the numbers of the classes, in any order.
    """
    if len(labels) > LARGEST_MATRIX:
        return _cells(labels, pairs)
    counts = [[0] * len(labels) for _ in labels]
    for true, predicted, count in pairs:
        counts[true][predicted] = count
    return matrix(labels, counts)


def pairs_of(counts: Sequence[Sequence[int]]) -> Pairs:
    """Return the pairs of a whole matrix."""
    return [
        [row, column, count]
        for row, line in enumerate(counts)
        for column, count in enumerate(line)
        if count
    ]


def _cells(labels: Sequence[str], pairs: Sequence[Sequence[int]]) -> Html:
    """Return cells as SVG, a path a shade, with buttons that zoom and a line that tells a cell."""
    size, total = len(labels), _totals(pairs)
    shades = defaultdict(list)
    for true, predicted, count in pairs:
        shade = max(1, -(-SHADES * count // total[true]))
        shades[shade, true == predicted].append(f"M{predicted} {true}h1v1h-1z")
    paths = "".join(
        f'<path d="{"".join(drawn)}" fill="var(--{"accent" if right else "bad"})" '
        f'fill-opacity="{0.15 + 0.85 * shade / SHADES:.2f}"/>'
        for (shade, right), drawn in sorted(shades.items())
    )
    side = size + MARGIN
    data = to_json({"labels": list(labels), "pairs": [list(pair) for pair in pairs]})
    return Html(
        '<div class="cells"><p><button type="button" data-by="1.6">larger</button>'
        '<button type="button" data-by="0.625">smaller</button></p>'
        '<output aria-live="polite">Point at a cell, tap it, or move with the arrow keys: '
        "its classes and its count are told here. Right ones are blue, wrong ones red; the fuller "
        "the colour, the larger the share of the true class.</output>"
        '<div class="scroll" tabindex="0" role="region" aria-label="confusion matrix">'
        f'<svg viewBox="{-MARGIN:g} {-MARGIN:g} {side:g} {side:g}" tabindex="0" role="img" '
        f'aria-label="confusion matrix of {size} classes">'
        f'<path d="M0 0h{size}v{size}h{-size}z" fill="none" stroke="var(--line)" '
        f'stroke-width=".1"/>{paths}{_names(labels)}<path class="here" fill="none" '
        'stroke="var(--ink)" stroke-width=".18"/></svg></div>'
        f'<script type="application/json">{data.replace("<", chr(92) + "u003c")}</script>'
        f"<script>{SCRIPT.read_text(encoding='utf-8')}</script></div>"
    )


def _totals(pairs: Sequence[Sequence[int]]) -> dict[int, int]:
    total: dict[int, int] = defaultdict(int)
    for true, _, count in pairs:
        total[true] += count
    return total


def _names(labels: Sequence[str]) -> str:
    """Return each label left of its row and, turned, above its column."""
    drawn = ""
    for at, label in enumerate(labels if len(labels) <= MOST_NAMED else ()):
        text = label if len(label) <= LONGEST else label[: LONGEST - 1].rstrip() + "\u2026"
        drawn += (
            f'<text x="-.4" y="{at + 0.75}" text-anchor="end">{escape(text)}</text>'
            f'<text transform="translate({at + 0.75} -.4) rotate(-90)">{escape(text)}</text>'
        )
    return drawn
