"""`timbre bench autoscaling`: what an autoscaler makes of a day of load, by each way to scale.

A model of the rules that Kubernetes and KEDA document, not a cluster: a worker carries 400 windows
a second and takes a minute to start, live streams come and go with the hour, clips in batches.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.autoscaling.autoscaler import Rules, changes
from benchmarks.autoscaling.day import DAY_S, Day, Scenario, simulate
from benchmarks.reporting import results, tables

CLIPS, LIVE, AGE = 16.0, 200.0, 0.5
"""Targets, those of the chart's values.yaml."""
ALL = {"clips": CLIPS, "live": LIVE, "age": AGE}
NOON = (12 * 3_600, 15 * 3_600)
SCENARIOS = (
    Scenario("as the chart has it", ALL),
    Scenario("by clips and age, without demand", {"clips": CLIPS, "age": AGE}),
    Scenario("to zero at night", ALL, Rules(least=0)),
    Scenario("Prometheus lost from 12 to 15, fallback", ALL, lost=NOON),
    Scenario("Prometheus lost, read as zero", ALL, lost=NOON, lost_is_zero=True),
    Scenario("20 workers all day", ALL, Rules(least=20)),
)
HEADS = {
    "what": "workers are scaled",
    "not_answered_percent": "% not answered",
    "longest_clip_s": "longest wait of a clip, s",
    "changes": "changes of their number",
}
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM = 760, 260, 46, 24, 34
COLOURS = ("#2a78d6", "#d9622b")


def main(argv: list[str]) -> int:
    """Print the table; with --plot, write the picture."""
    parser = argparse.ArgumentParser(prog="timbre bench autoscaling", description=__doc__)
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="the day of the chart")
    results.add_option(parser)
    given = parser.parse_args(argv)
    results.check_option(parser, given.json)
    before = measure.machine()
    days = {scenario.name: simulate(scenario) for scenario in SCENARIOS}
    report = results.document(
        "autoscaling",
        command="timbre bench autoscaling",
        settings={"targets": ALL},
        rows=[row(name, day) for name, day in days.items()],
        machine=before,
        heads=HEADS,
    )
    tables.publish(given.json, report)
    if given.plot:
        given.plot.write_text(picture(days[SCENARIOS[0].name], days[SCENARIOS[1].name]), "utf-8")
    return 0


def row(name: str, day: Day) -> dict[str, Any]:
    """Return a line of the table."""
    wait = day.longest_clip_wait_s
    return {
        "what": name,
        "not_answered_percent": round(100 * day.dropped_share, 2),
        "longest_clip_s": "over an hour" if wait >= 3_600 else round(wait),
        "worker_hours": round(day.worker_hours),
        "changes": changes(day.wanted),
    }


def picture(first: Day, second: Day) -> str:
    """Return an SVG: windows asked for, in workers, and the workers of two ways to scale."""
    top = 27
    lines = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
            'font-family="sans-serif" font-size="12" fill="#808080">'
        ),
        "<title>Workers over a day: what is asked for, and what two ways to scale give</title>",
    ]
    for hour in range(0, 25, 3):
        x = _x(hour * 3_600)
        lines.append(f'<text x="{x:.0f}" y="{HEIGHT - 16}" text-anchor="middle">{hour}:00</text>')
    for count in range(0, 21, 5):
        y = _y(count, top)
        lines += [
            f'<path d="M{LEFT},{y:.1f}H{WIDTH - RIGHT}" stroke="#8080804d"/>',
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{count}</text>',
        ]
    asked = [each / 400 for each in first.asked]
    area = f"M{_x(0):.1f},{_y(0, top):.1f}L{_path(asked, top)}L{_x(DAY_S):.1f},{_y(0, top):.1f}Z"
    lines.append(f'<path d="{area}" fill="#80808040"/>')
    names = (SCENARIOS[0].name, SCENARIOS[1].name)
    for at, (day, colour) in enumerate(zip((first, second), COLOURS, strict=True)):
        path = f"M{_path([float(each) for each in day.workers], top)}"
        lines += [
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>',
            f'<text x="{LEFT + 8}" y="{16 + 17 * at}" fill="{colour}">workers, {names[at]}</text>',
        ]
    lines.append(f'<text x="{LEFT + 8}" y="50">grey: live windows asked for / 400</text>')
    return "\n".join([*lines, "</svg>\n"])


def _x(second: float) -> float:
    return LEFT + (WIDTH - RIGHT - LEFT) * second / DAY_S


def _y(count: float, top: int) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - 8) * count / top


def _path(values: list[float], top: int) -> str:
    step = 120
    return "L".join(f"{_x(at):.1f},{_y(values[at], top):.1f}" for at in range(0, len(values), step))
