#!/usr/bin/env python3
"""How long after a sound begins its event arrives at a broker, for the example of the monitor.

    timbre monitor examples/monitor.toml &
    mosquitto_sub -t timbre/timbre/example/event -F '%U %p' -C 60 > events.txt
    .venv/bin/python tools/monitor_delay.py [--json FILE] < events.txt

Each line of stdin is a time (seconds since 1970) and an event. What is played when is in
examples/quartet.json; when the recording began is in the id of the event, in milliseconds.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.reporting import results, tables

QUARTET = Path(__file__).parents[1] / "examples" / "quartet.json"
LENGTH_S = 20.0
WINDOW_S, HOP_S = 2.0, 11_264 / 22_050
HEADS = {
    "what": "seconds until an onset is at the broker",
    "least_s": "least",
    "median_s": "median",
    "most_s": "most",
}
NEAR_S = 2.5
"""An onset further from the begin of its label is of something else."""


def delays(lines: Iterable[str], parts: list[dict[str, Any]]) -> list[tuple[str, float, float]]:
    """Return the onsets that have a part of their label near them.

    Of each the label, the seconds since that part began, and since the last window was full.
    """
    found = []
    for line in lines:
        arrived, _, text = line.partition(" ")
        event = json.loads(text)
        passed = float(arrived) - int(event["id"].split("-")[-2]) / 1000
        for part in parts:
            delay = (passed - part["start"]) % LENGTH_S
            wanted = event["state"] == "onset" and part["label"] == event["label"]
            if wanted and delay <= NEAR_S:
                found.append((event["label"], delay, (passed - WINDOW_S) % HOP_S))
    return found


def rows_of(found: list[tuple[str, float, float]]) -> list[dict[str, Any]]:
    """Return a row for each label, and one for all since the windows that told them."""
    began: dict[str, list[float]] = {}
    for label, delay, _ in found:
        began.setdefault(label, []).append(delay)
    rows = [row(f"{label}, since it began", began[label]) for label in sorted(began)]
    return [*rows, row("all, since the window that told it", [window for _, _, window in found])]


def row(what: str, values: list[float]) -> dict[str, Any]:
    """Return the extremes and the median of some seconds."""
    median = statistics.median(values)
    return {"what": what, "least_s": min(values), "median_s": median, "most_s": max(values)}


def main(arguments: Sequence[str]) -> int:
    """Show the delays; return 1 where no onset came."""
    parser = argparse.ArgumentParser(prog="tools/monitor_delay.py", description=__doc__)
    results.add_option(parser)
    given = parser.parse_args(arguments)
    results.check_option(parser, given.json)
    before = measure.machine()
    found = delays(sys.stdin, json.loads(QUARTET.read_text(encoding="utf-8"))["instruments"])
    if not found:
        sys.stderr.write("none of the lines is the onset of a part\n")
        return 1
    report = results.document(
        "monitor-delay",
        command="mosquitto_sub ... | .venv/bin/python tools/monitor_delay.py",
        settings={"onsets": len(found)},
        rows=rows_of(found),
        machine=before,
        heads=HEADS,
    )
    tables.publish(given.json, report)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
