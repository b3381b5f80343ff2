#!/usr/bin/env python3
"""How long after a sound begins its event arrives at a broker, for the example of the monitor.

    timbre monitor examples/monitor.toml &
    mosquitto_sub -t timbre/timbre/example/event -F '%U %p' -C 60 | tools/monitor_delay.py

Each line of stdin is a time (seconds since 1970) and an event. What is played when is in
examples/quartet.json; when the recording began is in the id of the event, in milliseconds.
"""

import json
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

QUARTET = Path(__file__).parents[1] / "examples" / "quartet.json"
LENGTH_S = 20.0
WINDOW_S, HOP_S = 2.0, 11_264 / 22_050
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


def main() -> None:
    """Print the delays of each onset, and the medians."""
    parts = json.loads(QUARTET.read_text(encoding="utf-8"))["instruments"]
    found = delays(sys.stdin, parts)
    for label, delay, age in found:
        sys.stdout.write(
            f"{label:8} {delay:5.2f} s after it began, {age:5.2f} s after its window\n"
        )
    for name, column in (("it began", 1), ("its window", 2)):
        values = [float(each[column]) for each in found]
        median, most = statistics.median(values), max(values)
        sys.stdout.write(f"after {name}: median {median:.2f} s, at most {most:.2f} s\n")


if __name__ == "__main__":
    main()
