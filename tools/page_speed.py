#!/usr/bin/env python3
"""Speed of the page in Chromium: first paint, bytes, frames a second with the lanes of a model.

    .venv/bin/python tools/page_speed.py [--seconds 10] [--rounds 5]

Starts a server of the shipped models on a free port. On a machine with other work the figures are
those of that; the processor time depends on it least.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.helpers.browser import opened
from tests.helpers.server_process import server_process
from tests.service.helpers.page import APP, FAKE, MICROPHONE, READY

if TYPE_CHECKING:
    from tests.helpers.browser import Tab

PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
BYTES = """[performance.getEntriesByType('navigation')[0],
  ...performance.getEntriesByType('resource')].filter(({ name }) => /\\/app\\/|\\/$/.test(name))
  .reduce((sum, each) => sum + each.transferSize, 0)"""
FRAMES = """((seconds) => new Promise((done) => {
  const times = [];
  const frame = (now) => {
    times.push(now);
    if (now - times[0] < 1e3 * seconds) return requestAnimationFrame(frame);
    const gaps = times.slice(1).map((each, n) => each - times[n]);
    done([gaps.length / ((times.at(-1) - times[0]) / 1e3), Math.max(...gaps)]);
  };
  requestAnimationFrame(frame);
}))"""


async def measure(address: str, *, seconds: float, rounds: int) -> dict[str, float]:
    """Return the figures by name: milliseconds, bytes, frames a second, share of time."""
    paints = []
    for _ in range(rounds):
        # A context of its own: nothing is cached.
        async with opened(address, *FAKE) as tab:
            paints.append(await tab.until(PAINT))
            size = await tab.run(BYTES)
    async with opened(address, *FAKE) as tab:
        await tab.until(f"document.querySelector('#server') && {READY}")
        await tab.run(APP)
        await tab.run(MICROPHONE)
        await tab.until("app.listening?.stream?.counts.windows > 3")
        await tab.send("Performance.enable", timeDomain="threadTicks")
        before = await _metrics(tab)
        rate, longest = await tab.run(f"{FRAMES}({seconds})")
        after = await _metrics(tab)
        lanes = await tab.run("app.listening.model.labels.length")
    spent = {name: after[name] - before[name] for name in ("Timestamp", "TaskDuration")}
    return {
        "first paint, median, ms": round(sorted(paints)[len(paints) // 2]),
        "bytes of a first visit": size,
        "lanes": lanes,
        "frames a second": round(rate, 1),
        "longest frame, ms": round(longest, 1),
        "processor time, share": round(spent["TaskDuration"] / spent["Timestamp"], 3),
    }


async def _metrics(tab: Tab) -> dict[str, float]:
    found = await tab.send("Performance.getMetrics")
    return {each["name"]: each["value"] for each in found["metrics"]}


def main(argv: list[str] | None = None) -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10, help="of frames (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="first visits (%(default)s)")
    args = parser.parse_args(argv)
    with server_process() as address:
        figures = asyncio.run(measure(address, seconds=args.seconds, rounds=args.rounds))
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
