"""What a server does with live streams and with clips, each load on a fresh server.

The load comes from this machine too, so that the two share its cores. Streams are an open loop: an
age counts from when the last sample of a window was due to be sent.
"""

from __future__ import annotations

import math
import os
from typing import Any, NamedTuple

from benchmarks import server_process
from benchmarks.serving import clips, load, streams

TITLE = "Live streams, and clips of 2 s"
FULL: dict[str, Any] = {"streams": [100, 500], "seconds": 20.0, "requests": 1_000, "clients": 100}
TINY: dict[str, Any] = {"streams": [1, 2], "seconds": 2.6, "requests": 4, "clients": 2}
NETWORK, FOREST = "instruments", "instruments-forest"


class Case(NamedTuple):
    """One load."""

    name: str
    model: str
    streams: int
    hop: float
    options: tuple[str, ...] = ()
    redis: bool = False

    @property
    def what(self) -> str:
        """What is measured, for a person."""
        served = f", {self.name}" if self.name else ""
        return f"{self.streams:,} live streams, hop {self.hop:g} s, {self.model}{served}"


def cases(few: int, many: int) -> list[Case]:
    """Return the loads of streams."""
    gateways = ("--gateways", str(os.cpu_count() or 1))
    return [
        Case("one gateway", NETWORK, few, 0.5),
        Case("one gateway, Redis", NETWORK, few, 0.5, redis=True),
        Case("a gateway a core", NETWORK, many, 1.0, gateways),
        Case("a gateway a core", FOREST, many, 1.0, gateways),
    ]


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return rows: what, windows or clips, answered, p50_ms, p99_ms, cpu_ms of one, mib, cores."""
    given = TINY if tiny else FULL
    table = [_streams(case, given["seconds"]) for case in cases(*given["streams"])]
    return [*table, _clips(given["requests"], given["clients"])]


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each load of which something was not answered."""
    return [
        f"{row['what']}: {row['answered']:,} of {row['expected']:,} answered"
        for row in table
        if row["answered"] < row["expected"]
    ]


def _streams(case: Case, seconds: float) -> dict[str, Any]:
    work = streams.Load(
        streams=case.streams,
        seconds=seconds,
        hop=case.hop,
        model=case.model,
        ramp=math.ceil(case.streams / 200),
    )
    with server_process.served(list(case.options), through_redis=case.redis) as (url, pid):
        report = load.run(url, pid, clip_load=None, stream_load=work)
    found = report["streams"]
    return _row(case.what, report, found, expected=found["expected"], answered=found["answered"])


def _clips(requests: int, clients: int) -> dict[str, Any]:
    work = clips.Load(requests=requests, clients=clients)
    with server_process.served([]) as (url, pid):
        report = load.run(url, pid, clip_load=work, stream_load=None)
    found = report["clips"]
    what = f"{requests:,} clips of 2 s from {clients} clients in {found['seconds']:.2f} s"
    return _row(what, report, found, expected=requests, answered=found["ok"])


def _row(
    what: str, report: dict[str, Any], found: dict[str, Any], *, expected: int, answered: int
) -> dict[str, Any]:
    return {
        "what": what,
        "expected": expected,
        "answered": answered,
        "p50_ms": found["ms"]["p50"],
        "p99_ms": found["ms"]["p99"],
        "livez_p99_ms": report["pulse_ms"]["p99"],
        "cpu_ms": 1e3 * report["server"]["cpu"] * report["seconds"] / max(1, answered),
        "cores": report["server"]["cpu"],
        "load_cores": report["generator"]["cpu"],
        "mib": report["server"]["mib"],
    }
