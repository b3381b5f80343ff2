"""What a server does past its capacity: live streams at half of it up to four times as many.

Each step has a fresh server, unless --url names one. The last goes from twice the capacity back to
half of it, and tells when the last window was dropped.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from typing import Any

from rich.table import Table

from benchmarks import measure
from benchmarks.reporting import results
from benchmarks.serving import capacity, load, schedule
from common.console import EscapingConsole, console

FACTORS = (0.5, 1.0, 1.5, 2.0, 4.0)
RECOVERY_S = 15.0
"""Seconds for which half of the capacity goes on after the rest has ended."""
SHARE, FELT_MS, DIFFERENCE_MS, PULSE_MS, RECOVERED_S = 0.8, 2_000.0, 250.0, 1_000.0, 5.0
"""What is asked for past the capacity: of the windows that it carries, so many answered; p99 of
the age, of what the server tells less what is felt, and of /livez; seconds until no more drops."""
COLUMNS = {
    "factor": "of C",
    "streams": "streams",
    "answered_per_s": "answered/s",
    "dropped": "dropped",
    "missing": "missing",
    "failed": "failed",
    "busy": "busy",
    "felt_p50_ms": "felt p50",
    "felt_p99_ms": "felt p99",
    "told_p99_ms": "told p99",
    "difference_p99_ms": "|told - felt| p99",
    "livez_p99_ms": "/livez p99",
    "server_cpu": "cores",
    "server_mib": "MiB",
    "load_cpu": "load cores",
}


def main(argv: list[str]) -> int:
    """Run `timbre bench overload`; 1 when a promise is not kept."""
    parser = _parser()
    given = parser.parse_args(argv)
    results.check_option(parser, given.json)
    out = console(stderr=given.json == results.PRINTED, width=200)
    before = measure.machine()
    most = given.capacity or _capacity(given, out)
    rows = [_step(most, factor, given, out) for factor in given.factors]
    recovered_s = _recovery(most, given)
    missed = [line for row in rows for line in shortfalls(row, most / given.hop)]
    if recovered_s > RECOVERED_S:
        missed.append(f"drops for {recovered_s:.1f} s after the load went back")
    report = results.document(
        "overload-redis" if given.redis else "overload",
        command=shlex.join(["timbre", "bench", "overload", *results.without_json(argv)]),
        settings={name: getattr(given, name) for name in capacity.SETTINGS},
        rows=[result_of(row, given) for row in rows],
        missed=missed,
        machine=before,
        capacity=most,
        recovered_s=recovered_s,
        note=f"C is {most:,} streams. From 2 C back to C/2 the last window was dropped after"
        f" {recovered_s:.1f} s.",
    )
    if not results.publish(given.json, report):
        out.print(table_of(rows))
        out.print(report["note"])
        out.print(results.where(report))
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    return 1 if missed else 0


def _capacity(given: argparse.Namespace, out: EscapingConsole) -> int:
    def good(count: int) -> bool:
        row = capacity.attempt(count, given)
        out.print(capacity.as_line(row))
        return bool(row["good"])

    found = schedule.largest(good, start=given.start, most=10**5, precision=given.precision)
    out.print(f"C = {found} streams")
    return max(found, 1)


def _step(
    most: int, factor: float, given: argparse.Namespace, out: EscapingConsole
) -> dict[str, Any]:
    stream_load = capacity.load_of(max(1, round(factor * most)), given)
    with capacity.server(given) as where:
        report = load.run(*where, clip_load=None, stream_load=stream_load)
    row = row_of(report, factor)
    out.print(", ".join(f"{name} {_cell(row[key])}" for key, name in COLUMNS.items()))
    return row


def row_of(report: dict[str, Any], factor: float) -> dict[str, Any]:
    """Return a row of the table from the report of a load."""
    found, server = report["streams"], report.get("server", {})
    return {
        "factor": factor,
        "streams": found["streams"],
        "answered_per_s": round(found["answered"] / found["seconds"], 1),
        "expected_per_s": round(found["expected"] / found["seconds"], 1),
        "dropped": found["dropped"],
        "missing": found["missing"],
        "failed": found["failed"],
        "busy": found["busy"],
        "felt_p50_ms": found["ms"]["p50"],
        "felt_p99_ms": found["ms"]["p99"],
        "told_p99_ms": found["told_ms"]["p99"],
        "difference_p99_ms": found["difference_ms"]["p99"],
        "sending_p99_ms": found["lag_ms"]["p99"],
        "livez_p99_ms": report["pulse_ms"]["p99"],
        "server_cpu": server.get("cpu"),
        "server_mib": server.get("mib"),
        "load_cpu": report["generator"]["cpu"],
    }


def result_of(row: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Return the row for the file of results: what came to nothing as one text."""
    lost = {**row["dropped"], **row["failed"]}
    lost |= {"missing": row["missing"]} if row["missing"] else {}
    lost |= {"streams not accepted": row["busy"]} if row["busy"] else {}
    measured = {"dropped", "missing", "failed", "busy", "factor"}
    where = ", through Redis" if given.redis else ""
    return {
        "what": f"{row['factor']:g} C{where}",
        "model": given.model,
        **{name: value for name, value in row.items() if name not in measured},
        "dropped": ", ".join(f"{count:,} {name}" for name, count in lost.items()) or "0",
    }


def shortfalls(row: dict[str, Any], carried_per_s: float) -> list[str]:
    """Return what a step misses of the promises; carried_per_s: windows at the capacity."""
    step = f"{row['factor']:g} C"
    bounds = {
        "missing windows": (row["missing"], 0),
        "failed streams": (sum(row["failed"].values()), 0),
        "p99 of the age in ms": (row["felt_p99_ms"], FELT_MS),
        "p99 of |told - felt| in ms": (row["difference_p99_ms"], DIFFERENCE_MS),
        "p99 of /livez in ms": (row["livez_p99_ms"], PULSE_MS),
    }
    missed = [
        f"{step}: {name} {value}, at most {bound:g}"
        for name, (value, bound) in bounds.items()
        if value is None or value > bound
    ]
    wanted_per_s = SHARE * min(carried_per_s, row["expected_per_s"])
    if row["answered_per_s"] < wanted_per_s:
        missed.append(f"{step}: {row['answered_per_s']} answered/s, at least {wanted_per_s:.1f}")
    return missed


def _recovery(most: int, given: argparse.Namespace) -> float:
    """Return for how many seconds windows are dropped after the load went from 2 C to C/2."""
    stream_load = capacity.load_of(2 * most, given)
    stream_load.longer, stream_load.extra = max(1, most // 2), RECOVERY_S
    with capacity.server(given) as (url, _):
        tally = load.tally_of(url, stream_load)
    most_ended = stream_load.ramp + stream_load.seconds
    return max(0.0, max(tally.drop_times, default=0.0) - most_ended)


def table_of(rows: list[dict[str, Any]]) -> Table:
    """Return the steps as a table."""
    table = Table(*COLUMNS.values())
    for row in rows:
        table.add_row(*(_cell(row[key]) for key in COLUMNS))
    return table


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "0"
    return "-" if value is None else f"{value:g}"


def _factors(text: str) -> list[float]:
    factor = measure.within(0.01, 100)
    return [factor(part) for part in text.split(",")]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre bench overload", description=__doc__)
    load.add_server(parser, options=f"--gateways {os.cpu_count() or 1}")
    load.add_sound(parser, seconds=20.0, hop=1.0)
    count, share = measure.within(1, 10**5, int), measure.within(0, 1)
    parser.add_argument("--capacity", type=count, metavar="C", help="streams; default: found")
    parser.add_argument(
        "--start", type=count, default=250, metavar="N", help="first number tried for C (250)"
    )
    parser.add_argument("--precision", type=share, default=0.1, metavar="SHARE", help="of C (0.1)")
    capacity.add_openings(parser)
    parser.add_argument(
        "--factors",
        type=_factors,
        default=list(FACTORS),
        metavar="A,B",
        help="of C (0.5,1,1.5,2,4)",
    )
    results.add_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
