"""A million live streams, simulated: from the service times of one small server, measured here.

First the simulation is held against servers with more streams than the one that gave the times;
then cells of one Redis shard are simulated, at several loads and with failures, and multiplied.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from benchmarks.scale import service_times
from benchmarks.scale.simulation import Cell, Failure, Outcome, Simulation, Times

TITLE = "Growth: small servers, measured and simulated; cells of one Redis shard, simulated"
FULL: dict[str, Any] = {
    "calibrated": [10, 40],
    "checked": [20, 60],
    "load_s": 14.0,
    "calls": 400,
    "shares": [0.5, 0.7, 0.85, 0.95],
    "cell": 4_000,
    "cell_s": 10.0,
    "million": 1_000_000,
}
TINY: dict[str, Any] = {
    **FULL,
    "calibrated": [1, 3],
    "checked": [2],
    "load_s": 3.0,
    "calls": 5,
    "shares": [0.5],
    "cell": 40,
    "cell_s": 6.0,
}
NEAR = 0.15
"""By which measured and simulated processor time of a window may differ."""
RECLAIM_S, RECONNECT_S, FAILOVER_S, UPGRADE_S = 1.5, 0.5, 1.0, 1.0
"""Until jobs of a lost worker are claimed again (the protocol's), until streams of a lost gateway
are back, until a replica of Redis has taken over, and for which each gateway of an upgrade is away
(assumed)."""
CORE_HOUR = 0.04
"""Dollars of an hour of a core, assumed: about the price of a rented virtual core."""
SHARD_MOST = 0.7
"""Share of its core that a shard of Redis may be busy."""


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return rows of small servers (measured beside simulated), of cells, and of a million.

    Raises TimbreError if the machine is too busy to measure what a window costs.
    """
    given = TINY if tiny else FULL
    few, many = (
        service_times.unhurried(count, seconds=given["load_s"]) for count in given["calibrated"]
    )
    times = service_times.times_of(few, many, calls=given["calls"])
    small = [_small(count, times, given) for count in given["checked"]]
    cells = [_cell(name, share, times, given, some) for name, share, some in _scenarios(given)]
    return [*small, *cells, *_million(times, given)]


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each small case that differs too much, or could not be compared."""
    missed = []
    for row in (row for row in table if "core_ms" in row):
        if row["difference"] is None:
            missed.append(f"{row['what']}: {row['dropped']} windows dropped: too busy a machine")
        elif abs(row["difference"]) > NEAR:
            missed.append(
                f"{row['what']}: simulated {row['core_ms_simulated']:.2f} ms of a core a window, "
                f"measured {row['core_ms']:.2f}: {row['difference']:+.0%}, at most {NEAR:.0%}"
            )
    return missed


def _small(count: int, times: Times, given: dict[str, Any]) -> dict[str, Any]:
    found = service_times.loaded(count, seconds=given["load_s"])
    # As many windows a second as were answered: a stream's first comes after two seconds.
    hop = count / found.rate
    cell = Cell(streams=count, gateways=1, workers=1, seconds=found.seconds, hop=hop)
    outcome = Simulation(cell, times).run()
    simulated = 1e3 * sum(outcome.busy.values()) / max(1, len(outcome.ages))
    return {
        "what": f"{count} live streams, a gateway, Redis, a worker",
        "answered": found.windows,
        "core_ms": found.core_ms,
        "core_ms_simulated": simulated,
        # What drops windows spends time on those, too: it has no cost of a window to compare.
        "difference": None if found.dropped else simulated / found.core_ms - 1,
        "dropped": found.dropped,
        "p50_ms": found.p50_ms,
        "p50_ms_simulated": _percentile_ms(outcome, 50),
    }


def plan(streams: int, share: float, times: Times, *, hop: float = 1.0) -> tuple[int, int]:
    """Return gateways and workers that so many streams keep busy for a share of the time."""
    rate = streams / hop
    largest = max(times.model)
    worker_s = float(times.model[largest].mean() / largest + times.worker.mean())
    gateways = rate * float(times.gateway.mean()) / share
    return max(2, math.ceil(gateways)), max(2, math.ceil(rate * worker_s / share))


def per_shard(times: Times, *, hop: float = 1.0) -> int:
    """Return the streams that keep a shard of Redis busy for SHARD_MOST of the time."""
    left = SHARD_MOST - times.fixed.get("shard", 0.0)
    return max(1, int(left * hop / (2 * float(times.shard.mean()))))


def _scenarios(given: dict[str, Any]) -> list[tuple[str, float, tuple[Failure, ...]]]:
    middle = given["cell_s"] / 2
    share = given["shares"][min(1, len(given["shares"]) - 1)]
    failures = {
        "a worker lost": Failure(at=middle, kind="worker", seconds=RECLAIM_S),
        "a gateway lost": Failure(at=middle, kind="gateway", seconds=RECONNECT_S),
        "Redis fails over": Failure(at=middle, kind="shard", seconds=FAILOVER_S),
        "rolling upgrade": Failure(at=3.0, kind="upgrade", seconds=UPGRADE_S),
    }
    return [
        *(("nothing fails", load, ()) for load in given["shares"]),
        *((name, share, (failure,)) for name, failure in failures.items()),
    ]


def _cell(
    name: str, share: float, times: Times, given: dict[str, Any], failures: tuple[Failure, ...]
) -> dict[str, Any]:
    streams = min(given["cell"], per_shard(times))
    gateways, workers = plan(streams, share, times)
    cell = Cell(
        streams=streams,
        gateways=gateways,
        workers=workers,
        seconds=given["cell_s"],
        failures=failures,
    )
    outcome = Simulation(cell, times).run()
    seconds = given["cell_s"]
    return {
        "what": f"{streams:,} streams, planned for {share:.0%}: {name}",
        "planned": share,
        "gateways": gateways,
        "workers": workers,
        "p50_ms": _percentile_ms(outcome, 50),
        "p99_ms": _percentile_ms(outcome, 99),
        "p999_ms": _percentile_ms(outcome, 99.9),
        "dropped": outcome.dropped,
        "gateway_share": outcome.busy["gateway"] / seconds / gateways,
        "shard_share": outcome.busy["shard"] / seconds,
        "worker_share": outcome.busy["worker"] / seconds / workers,
    }


def _million(times: Times, given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a million streams need, cell by cell, with what is spare in the second load."""
    share = given["shares"][min(1, len(given["shares"]) - 1)]
    streams = given["million"]
    gateways, workers = plan(streams, share, times)
    shards = math.ceil(streams / per_shard(times))
    cores = gateways + workers + shards
    return [
        {
            "what": f"{streams:,} live streams at a 1-s hop, planned for {share:.0%}",
            "gateways": gateways,
            "workers": workers,
            "shards": shards,
            "streams_of_a_shard": per_shard(times),
            "dollars_of_1000_stream_hours": 1_000 * cores * CORE_HOUR / streams,
        }
    ]


def _percentile_ms(outcome: Outcome, at: float) -> float | None:
    return 1e3 * float(np.percentile(outcome.ages, at)) if outcome.ages else None
