"""What memory a server of one model takes, with and without `low_memory`, and its price in time.

Both servers of a model run side by side and classify the same sound by turns, its decoding
included. Resident memory counts files that are shared with other processes too.
"""

from __future__ import annotations

import time
import urllib.request
from pathlib import Path
from typing import Any

from benchmarks import measure
from benchmarks.server_process import cost, served
from common.errors import TimbreError
from service.inference.gateway import IDLE_S

TITLE = "A server of one model"
HEADS = {
    "idle_mib": "MiB, idle",
    "after_mib": "MiB, after clips",
    "median_ms": "processor time of a window, ms",
}
MODELS = ("instruments-forest", "instruments")
USUAL, LOW = "as usual", "low_memory"
BUDGETS = {"instruments-forest": 120.0, "instruments": 130.0}
"""MiB of a server as usual, after clips, at most."""
SOUND = Path(__file__).parent.parent.parent / "examples" / "quartet.ogg"
FULL = {"rounds": 10, "clips": 5, "hop_s": 0.25}
"""hop_s: of the windows of a clip, so short that decoding does not count."""
TINY = {"rounds": 1, "clips": 1, "hop_s": 1.0}


def run(
    *, tiny: bool = False, options: list[str] | None = None, models: tuple[str, ...] = MODELS
) -> list[dict[str, Any]]:
    """Return rows: model, name, median_ms of a window and so on, idle_mib, after_mib.

    options: of both servers. Raises TimbreError beside Linux.
    """
    if not Path("/proc/self/statm").exists():
        raise TimbreError("memory is counted in /proc, which only Linux has")
    table = []
    for model in models:
        alone = [*(options or []), "--set", f"models={model}"]
        with served(alone) as usual, served([*alone, "--set", "low_memory=true"]) as low:
            table += _rows(model, {USUAL: usual, LOW: low}, tiny=tiny)
    return table


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    return [
        f"{row['model']}: {row['after_mib']:.0f} MiB, at most {budget:g}"
        for row in table
        if row["name"] == USUAL
        and row["after_mib"] > (budget := BUDGETS.get(row["model"], float("inf")))
    ]


def _rows(model: str, servers: dict[str, tuple[str, int]], *, tiny: bool) -> list[dict[str, Any]]:
    settings = TINY if tiny else FULL
    sound = SOUND.read_bytes()
    idle = {name: cost(pid)[1] for name, (_, pid) in servers.items()}
    times: dict[str, list[float]] = {name: [] for name in servers}
    for url, _ in servers.values():
        _windows(url, model, sound, settings["hop_s"])  # the first clip pays for caches
    for _ in range(int(settings["rounds"])):
        for name, (url, pid) in servers.items():
            before, windows = _spent_s(pid), 0
            for _ in range(int(settings["clips"])):
                windows += _windows(url, model, sound, settings["hop_s"])
            times[name].append(1e3 * (_spent_s(pid) - before) / windows)
    time.sleep(0 if tiny else IDLE_S + 2)  # a server returns free memory once it is idle
    after = {name: cost(pid)[1] for name, (_, pid) in servers.items()}
    return [
        {**row, "idle_mib": idle[row["name"]], "after_mib": after[row["name"]]}
        for row in measure.rows(times, ours=USUAL, model=model)
    ]


def _spent_s(pid: int) -> float:
    """Return the processor time of a process by its own clock: a tick of /proc is too long."""
    return time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid(3) makes it on Linux


def _windows(url: str, model: str, sound: bytes, hop_s: float) -> int:
    """Return how many windows of a clip were answered."""
    address = f"{url}/v1/models/{model}/classify?hop={hop_s}"
    with urllib.request.urlopen(address, sound) as response:  # noqa: S310 - ours
        return int(response.read().count(b'"start"'))
