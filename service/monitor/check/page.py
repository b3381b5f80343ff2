"""The result of a check as lines of text, and as an HTML page with the spectrum. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from common.page import Html, card, card_row, chart, document, escape, legend, paragraph
from service.monitor.check.findings import Finding
from service.monitor.check.measure import Measured, decibels

WIDTH, HEIGHT = 900, 360
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 30
LEVELS = range(-120, 1, 20)
TICKS = (20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
SOME = ' class="some"'
"""Of what is left out where there is little room."""
STYLE = """
.finding { border-left: 4px solid var(--bad); background: var(--raised); padding: .7rem 1rem;
  margin: .8rem 0; border-radius: 0 .6rem .6rem 0; }
.finding.fine { border-color: var(--good); }
.finding b { display: block; } .finding span { color: var(--muted); }
.spectrum line { stroke: var(--line); }
.spectrum .mark { stroke: var(--bad); stroke-dasharray: 4 3; }
.spectrum text { fill: var(--muted); font-size: 13px; }
.spectrum path { fill: none; stroke-width: 2; stroke: var(--c0); }
.spectrum .constant { stroke: var(--c1); stroke-dasharray: 6 3; }
@media (max-width: 40rem) { .spectrum text { font-size: 26px; } .spectrum .some { display: none; } }
"""
NOTHING = "Nothing is wrong with this sound."


def text_lines(name: str, measured: Measured, found: Sequence[Finding]) -> Iterator[str]:
    """Yield the lines that a terminal shows."""
    yield f"{name}: {_heard(measured)}"
    yield "  " + ", ".join(f"{caption} {figure}" for figure, caption in _levels(measured))
    for each in found:
        yield f"  wrong: {each.detail}"
        yield f"  to do: {each.todo}"
    if not found:
        yield f"  {NOTHING}"


def html_page(name: str, measured: Measured, found: Sequence[Finding]) -> str:
    """Return the page."""
    title = f"Sound check: {name}"
    notes = [
        f'<div class="finding"><b>{escape(_sentence(each.detail))}</b>'
        f"<span>To do: {escape(each.todo)}.</span></div>"
        for each in found
    ] or [f'<div class="finding fine"><b>{NOTHING}</b></div>']
    keys = [("mean", "var(--c0)", ""), ("there all the time", "var(--c1)", "dashed")]
    if any(each.hertz for each in found):
        keys.append(("where something is wrong", "var(--bad)", "dashed"))
    marks = [hertz for each in found for hertz in each.hertz]
    body = (
        f'<h1>{escape(title)}</h1><div class="lead">{escape(_heard(measured))}</div>'
        + "".join(notes)
        + card_row(card(figure, caption) for figure, caption in _levels(measured))
        + "<h2>Spectrum</h2>"
        + legend(keys)
        + chart(
            spectrum(measured, marks), "Power of bands of equal width on this scale, by frequency."
        )
        + paragraph(
            "Levels are relative to full scale: a sine that just does not clip has -3 dB.",
            note=True,
        )
    )
    return document(title, Html(body), style=STYLE)


def spectrum(measured: Measured, marks: Iterable[float]) -> str:
    """Return the mean and the constant spectrum as SVG. marks: hertz to point out."""
    low, high = float(measured.bands[0, 0]), measured.sample_rate / 2

    def x(hertz: float) -> float:
        share = np.log(max(hertz, low) / low) / np.log(high / low)
        return LEFT + (WIDTH - LEFT - RIGHT) * float(share)

    def y(level: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * level / LEVELS[0]

    parts = [
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(level):.1f}" y2="{y(level):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{y(level) + 4:.1f}" text-anchor="end"'
        f"{SOME if level % 40 else ''}>{level}</text>"
        for level in LEVELS
    ]
    parts += [
        f'<text x="{x(hertz):.1f}" y="{HEIGHT - 8}" text-anchor="middle"'
        f"{'' if hertz in {100, 1_000, 10_000} else SOME}>{_hertz(hertz)}</text>"
        for hertz in TICKS
        if low <= hertz <= 0.9 * high
    ]
    parts += [
        f'<line class="mark" x1="{x(hertz):.1f}" x2="{x(hertz):.1f}" y1="{TOP}"'
        f' y2="{HEIGHT - BOTTOM}"/>'
        for hertz in marks
    ]
    for name, column in (("constant", 2), ("mean", 1)):
        points = " ".join(
            f"{x(band[0]):.1f},{y(decibels(float(band[column]))):.1f}" for band in measured.bands
        )
        parts.append(f'<path class="{name}" d="M{points}"/>')
    return (
        f'<svg class="spectrum" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="Spectrum from {low:.0f} to {high:.0f} Hz">{"".join(parts)}</svg>'
    )


def _heard(measured: Measured) -> str:
    plural = "" if measured.channels == 1 else "s"
    return (
        f"{measured.seconds:.1f} s of {measured.sample_rate:,} Hz,"
        f" {measured.channels} channel{plural}"
    )


def _levels(measured: Measured) -> Iterator[tuple[str, str]]:
    figures = (measured.peak_db, measured.mean_db, measured.floor_db)
    for level, caption in zip(figures, ("loudest sample", "mean", "noise floor"), strict=True):
        yield f"{level:.0f} dB", caption


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _hertz(hertz: int) -> str:
    return f"{hertz // 1000}k" if hertz >= 1_000 else str(hertz)
