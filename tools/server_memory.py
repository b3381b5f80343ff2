#!/usr/bin/env python3
"""Show what memory a server takes, with and without `low_memory`, and what that costs in time.

    server_memory.py [MODEL ...]     the shipped models, each alone

Both servers of a model run side by side and classify the same sound by turns. Resident memory
counts files that are shared with other processes too. Linux only.
"""

from __future__ import annotations

import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.server_process import cost, served
from service.inference.gateway import IDLE_S
from tools.package import say

SOUND = Path(__file__).resolve().parent.parent / "examples" / "quartet.ogg"
MODELS = ("instruments-forest", "instruments")
HOP_S = 0.25
"""Of the windows: enough of them that decoding does not count."""
ROUNDS = 20


def main(models: list[str]) -> int:
    """Print a table; return the exit code."""
    say("| model | low_memory | resident, idle | after clips | CPU, ms a window |")
    say("|---|---|---:|---:|---:|")
    for model in models or MODELS:
        alone = ["--set", f"models={model}"]
        with served(alone) as usual, served([*alone, "--set", "low_memory=true"]) as low:
            for name, row in zip(("false", "true"), rows(model, [usual, low]), strict=True):
                say(f"| {model} | {name} | {row} |")
    return 0


def rows(model: str, servers: list[tuple[str, int]]) -> list[str]:
    """Return the figures of each server, given by address and process."""
    sound = SOUND.read_bytes()
    idle = [cost(pid)[1] for _, pid in servers]
    windows = [post(url, model, sound) for url, _ in servers]
    before = [cost(pid)[0] for _, pid in servers]
    for _ in range(ROUNDS):
        for url, _ in servers:
            post(url, model, sound)
    spent = [cost(pid)[0] - begin for (_, pid), begin in zip(servers, before, strict=True)]
    time.sleep(IDLE_S + 2)
    after = [cost(pid)[1] for _, pid in servers]
    each = [1e3 * cpu / ROUNDS / count for cpu, count in zip(spent, windows, strict=True)]
    return [
        f"{start:.0f} MiB | {end:.0f} MiB | {ms:.2f}"
        for start, end, ms in zip(idle, after, each, strict=True)
    ]


def post(url: str, model: str, sound: bytes) -> int:
    """Return how many windows were answered."""
    address = f"{url}/v1/models/{model}/classify?hop={HOP_S}"
    with urllib.request.urlopen(address, sound) as response:  # noqa: S310 - ours
        return int(response.read().count(b'"start"'))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
