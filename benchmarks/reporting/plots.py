"""Ratios as bars, drawn as SVG: how many times as long as ours each other takes.

The axis is logarithmic, its origin at ours: what takes longer goes to the right, what is faster to
the left. A line through the end of a bar spans the quartiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from common.page import escape

WIDTH, RIGHT, ROW, TOP, BOTTOM = 760, 70, 26, 8, 34
LETTER = 7.0
"""Width of a letter of a label, about."""
STYLE = """
:root{--text:#1f2328;--soft:#59636e;--line:#d1d9e0;--more:#2459c4;--less:#b3261e;--page:#fff}
@media(prefers-color-scheme:dark){
:root{--text:#e8ebef;--soft:#99a3b1;--line:#2c343e;--more:#84adff;--less:#ff8f86;--page:#12151a}}
text{font:13px system-ui,"Segoe UI","DejaVu Sans",sans-serif;fill:var(--text)}
.soft{fill:var(--soft)}.times{font-weight:600}.grid{stroke:var(--line)}
.page{fill:var(--page)}.base,.spread{stroke:var(--text)}.more{fill:var(--more)}.less{fill:var(--less)}
"""


class Bar(NamedTuple):
    """A ratio with its quartiles."""

    label: str
    ratio: float
    low: float
    high: float


def ratios(bars: Sequence[Bar], *, alone: bool = False, title: str = "") -> str:
    """Return the bars as SVG; empty without any. alone: with its own colours, light and dark."""
    if not bars:
        return ""
    low = min(1.0, *(bar.low for bar in bars))
    high = max(1.0, *(bar.high for bar in bars))
    # A whole number of tenfold steps would leave small ratios without room.
    left, right = math.log10(low) - 0.05, max(math.log10(high), math.log10(low) + 0.5) + 0.02
    height = TOP + ROW * len(bars) + BOTTOM
    begin = label_width(bars)

    def x(value: float) -> float:
        share = (math.log10(value) - left) / (right - left)
        return begin + (WIDTH - begin - RIGHT) * share

    drawn = [_tick(x(value), value, height) for value in ticks(10**left, 10**right)]
    drawn += [_bar(bar, x, begin, TOP + ROW * number) for number, bar in enumerate(bars)]
    drawn.append(
        f'<line class="base" x1="{x(1):.1f}" x2="{x(1):.1f}" y1="{TOP}" y2="{height - 26}"/>'
    )
    named = f"<title>{escape(title)}</title>" if title else ""
    # A page of the reader's may be dark where the system is light.
    style = (
        f'<style>{STYLE}</style><rect class="page" width="100%" height="100%"/>' if alone else ""
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="ratios" viewBox="0 0 {WIDTH} {height}" '
        f'role="img">{named}{style}{"".join(drawn)}</svg>'
    )


def label_width(bars: Sequence[Bar]) -> float:
    """Return the room of the labels."""
    return min(LETTER * max(len(bar.label) for bar in bars) + 20, 0.6 * WIDTH)


def ticks(low: float, high: float) -> list[float]:
    """Return round values from `low` to `high`: powers of ten, and more if those are few."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5)):
        found = [step * 10.0**power for power in powers for step in steps]
        shown = [value for value in found if low <= value <= high]
        if len(shown) >= 3:
            break
    return shown


def _tick(x: float, value: float, height: int) -> str:
    return (
        f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{height - 26}"/>'
        f'<text class="soft" x="{x:.1f}" y="{height - 10}" text-anchor="middle">{value:g}</text>'
    )


def _bar(bar: Bar, place: Callable[[float], float], label: float, top: float) -> str:
    begin, end = sorted((place(1.0), place(bar.ratio)))
    middle = top + ROW / 2
    kind = "more" if bar.ratio >= 1 else "less"
    times = f"{bar.ratio:,.0f}" if bar.ratio >= 10 else f"{bar.ratio:.2g}"
    return (
        f'<text x="{label - 10:.1f}" y="{middle + 4:.1f}" text-anchor="end">'
        f"{escape(bar.label)}</text>"
        f'<rect class="{kind}" x="{begin:.1f}" y="{top + 5:.1f}" width="{max(1, end - begin):.1f}" '
        f'height="{ROW - 10}"/>'
        f'<line class="spread" x1="{place(bar.low):.1f}" x2="{place(bar.high):.1f}" '
        f'y1="{middle:.1f}" y2="{middle:.1f}"/>'
        f'<text class="times" x="{max(end, place(bar.high)) + 8:.1f}" y="{middle + 4:.1f}">'
        f"{times}</text>"
    )
