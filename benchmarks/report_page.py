"""The report of a load as one HTML page that needs nothing else: numbers, and plots drawn as SVG by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from typing import Any

WIDTH, HEIGHT = 340, 190
LEFT, RIGHT, TOP, BOTTOM = 40, 14, 10, 28
STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #60646c; --line: #e0e3e8; --back: #fcfcfd; --card: #fff;
  --p50: #0d74ce; --p99: #e5484d; --max: #c1c8cd; --good: #18794e; --bad: #ce2c31; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --soft: #b0b4ba; --line: #363a3f; --back: #111113;
  --card: #18191b; --p50: #70b8ff; --p99: #ff9592; --max: #5a6169; --good: #3dd68c; --bad: #ff9592; } }
body { margin: 0 auto; max-width: 1112px; padding: 32px 20px 48px; background: var(--back); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 26px; margin: 0; letter-spacing: -0.01em; } h2 { font-size: 18px; margin: 36px 0 12px; }
h3 { font-size: 13px; margin: 0 0 8px; font-weight: 600; } p { color: var(--soft); margin: 4px 0; }
code { font: 13px ui-monospace, Consolas, monospace; overflow-wrap: anywhere; }
.row { display: grid; gap: 16px; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); margin-bottom: 16px; }
.plots { grid-template-columns: repeat(auto-fit, minmax(min(100%, 310px), 1fr)); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px; }
.card b { display: block; font-size: 24px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.card span { color: var(--soft); font-size: 13px; } .good b { color: var(--good); } .bad b { color: var(--bad); }
svg { display: block; width: 100%; height: auto; } svg text { font-size: 11px; fill: var(--soft); }
.grid { stroke: var(--line); } .p50, .p99, .max { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.p50 { stroke: var(--p50); } .p99 { stroke: var(--p99); } .max { stroke: var(--max); } .bar { fill: var(--p50); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100%; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line); font-weight: 400; }
th { color: var(--soft); font-size: 13px; } th:first-child { text-align: left; } tr:last-child > * { border-bottom: 0; }
i { font-style: normal; margin-left: 10px; font-weight: 400; color: var(--soft); }
i::before { content: "— "; font-weight: 700; }
i.k50::before { color: var(--p50); } i.k99::before { color: var(--p99); } i.kmax::before { color: var(--max); }
"""
KEY = '<i class="k50">median</i><i class="k99">p99</i><i class="kmax">slowest</i>'


def render(report: dict[str, Any]) -> str:
    """Return the page of a report of `timbre bench load`."""
    machine = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    parts = [
        "<h1>Load on Timbre</h1>",
        f"<p><code>{escape(report.get('command', ''))}</code></p><p>{escape(machine)}</p>",
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
    parts += ["<h2>In numbers (ms)</h2>", _table(report), f"<p>{_costs(report)}</p>"]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Load on Timbre</title>'
        f"<style>{STYLE}</style><body>{''.join(parts)}</body></html>\n"
    )


def _clip_cards(found: dict[str, Any]) -> str:
    bad = sum(found["bad"].values())
    cards = [
        _card(f"{found['ok']:,}", f"OK{_left(found)}", "good"),
        _card(f"{bad:,}", f"BAD {_told(found['bad'])}", "bad" if bad else ""),
        _card(f"{found['seconds']:.2f} s", "in all"),
        _card("51.35 s", "work A: 1,000 clips of 100 clients"),
        _card(_ms(found["ms"]["p99"]), "p99 latency"),
    ]
    return f'<div class="row">{"".join(cards)}</div>'


def _stream_cards(found: dict[str, Any]) -> str:
    dropped, lost = sum(found["dropped"].values()), found["missing"] + sum(found["failed"].values())
    cards = [
        _card(
            f"{found['answered']:,}",
            f"of {found['expected']:,} windows answered{_left(found)}",
            "good",
        ),
        _card(f"{dropped:,}", f"dropped {_told(found['dropped'])}", "bad" if dropped else ""),
        _card(
            f"{lost:,}",
            f"missing windows, failed streams {_told(found['failed'])}",
            "bad" if lost else "",
        ),
        _card(_ms(found["ms"]["p50"]), "median age"),
        _card(_ms(found["ms"]["p99"]), "p99 age"),
    ]
    return f'<div class="row">{"".join(cards)}</div>'


def _card(value: str, label: str, kind: str = "") -> str:
    return f'<div class="card {kind}"><b>{value}</b><span>{escape(label.strip())}</span></div>'


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _left(found: dict[str, Any]) -> str:
    return f", {found['hung_up']:,} hung up" if found["hung_up"] else ""


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
    return f'<div class="row plots">{drawn}</div>'


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
        f'<rect class="bar" x="{_x(x, right):.1f}" y="{_y(y, top):.1f}" width="{thick:.1f}" '
        f'height="{_y(0, top) - _y(y, top):.1f}"/>'
        for x, y in values
    )
    return _svg(drawn, right, top, _seconds)


def nice(value: float) -> float:
    """Return the next of 1, 2, 4, 5, 8 times a power of ten: an end of an axis that four steps divide well."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value)


def _svg(drawn: str, right: float, top: float, name_x: Callable[[float], str]) -> str:
    axes = []
    for level in (top * quarter / 4 for quarter in range(5)):
        y = _y(level, top)
        axes.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        axes.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{level:,g}</text>')
    step = 1.0 if name_x is _nines else nice(right / 5)
    for number in range(int(right / step) + 1):
        x = _x(number * step, right)
        anchor = "end" if x > WIDTH - RIGHT - 20 else "middle"
        axes.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="{anchor}">{name_x(number * step)}</text>'
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


def _table(report: dict[str, Any]) -> str:
    rows = {"/livez": report["pulse_ms"], "this program's own delay": report["lag_ms"]}
    if "loop_lag_ms" in report:
        rows["the server's loop, how late it turned"] = report["loop_lag_ms"]
    for name, what in (("clips", "clip"), ("streams", "window")):
        if name in report:
            rows |= {
                f"{what}, from its scheduled time": report[name]["ms"],
                f"{what}, as told": report[name]["told_ms"],
            }
    head = "".join(f"<th>{name}</th>" for name in next(iter(rows.values())))
    body = "".join(f"<tr><th>{name}</th>{_cells(row)}</tr>" for name, row in rows.items())
    return f'<div class="card"><table><tr><th></th>{head}</tr>{body}</table></div>'


def _cells(row: dict[str, float | None]) -> str:
    return "".join("<td>-</td>" if ms is None else f"<td>{ms:.2f}</td>" for ms in row.values())


def _costs(report: dict[str, Any]) -> str:
    cost = report.get("server")
    server = (
        f"The server kept {cost['cpu']:.2f} cores busy and held {cost['mib']} MiB; " if cost else ""
    )
    own = f"this program kept {report['generator']['cpu']:.2f} cores busy."
    return (server + own)[:1].upper() + (server + own)[1:]
