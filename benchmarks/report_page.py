"""The report of a load test as one HTML page: figures, and plots drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.page import Html, card, card_row, document, escape, paragraph, table

TITLE = "Load on Timbre"
LIKE_PREDECESSOR = "closed loop of 100 clients"
WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 40, 14, 10, 28
STYLE = Path(__file__).with_suffix(".css")
KEY = "".join(
    f'<span class="key {kind}">{name}</span>'
    for kind, name in (("k50", "median"), ("k99", "p99"), ("kmax", "slowest"))
)


def render(report: dict[str, Any]) -> str:
    """Return the page of a report of `timbre bench load`."""
    machine = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    parts = [
        f"<h1>{TITLE}</h1>",
        f"<p><code>{escape(report.get('command', ''))}</code></p>",
        paragraph(machine, note=True),
    ]
    if found := report.get("clips"):
        parts += [
            f"<h2>Clips: {escape(found['loop'])}</h2>",
            _clip_cards(found),
            _plots(found, "answers a second"),
        ]
    if found := report.get("streams"):
        title = f"{found['streams']} live streams of {found['seconds']:g} s, hop {found['hop']:g} s"
        parts += [f"<h2>{title}</h2>", _stream_cards(found), _plots(found, "windows a second")]
    parts += ["<h2>In numbers (ms)</h2>", _table(report), paragraph(_costs(report))]
    return document(TITLE, "".join(parts), style=STYLE.read_text(encoding="utf-8"))


def _clip_cards(found: dict[str, Any]) -> str:
    bad = sum(found["bad"].values())
    cards = [
        card(f"{found['ok']:,}", f"OK{_left(found)}", kind="good"),
        card(f"{bad:,}", f"BAD {_counts(found['bad'])}".strip(), kind="bad" if bad else ""),
        card(f"{found['seconds']:.2f} s", "in all"),
        *(
            [card("51.35 s", "predecessor: 1,000 clips, 100 clients")]
            if found["loop"] == LIKE_PREDECESSOR and found["ok"] + bad == 1000
            else []
        ),
        card(_ms(found["ms"]["p99"]), "p99 latency"),
    ]
    return card_row(cards)


def _stream_cards(found: dict[str, Any]) -> str:
    dropped, lost = sum(found["dropped"].values()), found["missing"] + sum(found["failed"].values())
    cards = [
        card(
            f"{found['answered']:,}",
            f"of {found['expected']:,} windows answered{_left(found)}",
            kind="good",
        ),
        card(f"{dropped:,}", f"dropped {_counts(found['dropped'])}", kind="bad" if dropped else ""),
        card(
            f"{lost:,}",
            f"missing windows, failed streams {_counts(found['failed'])}",
            kind="bad" if lost else "",
        ),
        card(_ms(found["ms"]["p50"]), "median age"),
        card(_ms(found["ms"]["p99"]), "p99 age"),
    ]
    return card_row(cards)


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _left(found: dict[str, Any]) -> str:
    return f", {found['hung_up']:,} disconnected" if found["hung_up"] else ""


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _plots(found: dict[str, Any], rate: str) -> str:
    slices = [each for each in found["slices"] if each["p50"] is not None]
    if not slices:
        return ""
    over_time = {
        kind: [(each["at"], each[name]) for each in slices]
        for kind, name in (("max", "max"), ("p99", "p99"), ("p50", "p50"))
    }
    nines = {"p50": [(-math.log10(1 - share / 100), value) for share, value in found["quantiles"]]}
    cards = [
        (f"ms over time {KEY}", lines(over_time, _seconds)),
        (f"{rate.capitalize()}", bars([(each["at"], each["per_s"]) for each in found["slices"]])),
        ("One in so many took longer than, ms", lines(nines, _nines)),
    ]
    drawn = "".join(f'<div class="card"><h3>{title}</h3>{svg}</div>' for title, svg in cards)
    return f'<div class="plots">{drawn}</div>'


def lines(curves: dict[str, list[tuple[float, float]]], name_x: Callable[[float], str]) -> str:
    """Return curves over one x axis as SVG; each key is a class of the style."""
    right = max(x for curve in curves.values() for x, _ in curve) or 1.0
    top = nice(max(y for curve in curves.values() for _, y in curve))
    drawn = []
    for kind, curve in curves.items():
        points = " ".join(f"{_x(x, right):.1f},{_y(y, top):.1f}" for x, y in curve)
        drawn.append(f'<polyline class="{kind}" points="{points}"/>')
    return _svg("".join(drawn), right, top, name_x)


def bars(values: list[tuple[float, float]]) -> str:
    """Return bars over seconds as SVG."""
    width = values[1][0] - values[0][0] if len(values) > 1 else 1.0
    right, top = values[-1][0] + width, nice(max(y for _, y in values))
    thick = max(1.0, _x(width, right) - _x(0, right) - 1)
    drawn = "".join(
        f'<rect class="rate" x="{_x(x, right):.1f}" y="{_y(y, top):.1f}" width="{thick:.1f}" '
        f'height="{_y(0, top) - _y(y, top):.1f}"/>'
        for x, y in values
    )
    return _svg(drawn, right, top, _seconds)


def nice(value: float, steps: Sequence[int] = (1, 2, 4, 5, 8, 10)) -> float:
    """Return the next of some steps times a power of ten, as the end of an axis."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in steps if step * power >= value)


def _svg(drawn: str, right: float, top: float, name_x: Callable[[float], str]) -> str:
    axes = []
    for level in (top * quarter / 4 for quarter in range(5)):
        y = _y(level, top)
        axes.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        axes.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{level:,g}</text>')
    step = 1.0 if name_x is _nines else nice(right / 5, (1, 2, 5, 10))
    for number in range(int(right / step) + 1):
        x = _x(number * step, right)
        anchor = "end" if x > WIDTH - RIGHT - 20 else "middle"
        axes.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">'
            f"{name_x(number * step)}</text>"
        )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{"".join(axes)}{drawn}</svg>'


def _x(value: float, right: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * value / right


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _seconds(value: float) -> str:
    return f"{value:g} s"


def _nines(value: float) -> str:
    return f"{10**value:,.0f}"


def _table(report: dict[str, Any]) -> Html:
    rows = {"/livez": report["pulse_ms"], "lag of this program": report["lag_ms"]}
    if "loop_lag_ms" in report:
        rows["lag of the server's event loop"] = report["loop_lag_ms"]
    for name, what in (("clips", "clip"), ("streams", "window")):
        if name in report:
            rows |= {
                f"{what}, from its scheduled time": report[name]["ms"],
                f"{what}, as reported": report[name]["told_ms"],
            }
    shown = [(name, *map(_two_decimals, row.values())) for name, row in rows.items()]
    return table(["", *next(iter(rows.values()))], shown)


def _two_decimals(ms: float | None) -> str:
    return "-" if ms is None else f"{ms:.2f}"


def _costs(report: dict[str, Any]) -> str:
    cost = report.get("server")
    server = (
        f"The server kept {cost['cpu']:.2f} cores busy and held {cost['mib']} MiB; " if cost else ""
    )
    own = f"this program kept {report['generator']['cpu']:.2f} cores busy."
    return (server + own)[:1].upper() + (server + own)[1:]
