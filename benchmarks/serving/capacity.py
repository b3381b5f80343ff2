"""The largest number of live streams that this machine serves in time without a drop.

The number is doubled until it is too much, then halved in between. Every try has a fresh server,
unless --url names one.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from benchmarks import measure, server_process
from benchmarks.reporting import results
from benchmarks.serving import load, schedule, streams
from common.errors import InputError, TimbreError

LIMIT_MS = 100.0
"""What the 99th percentile of the ages may be."""
OPENINGS = 200.0
"""Streams opened a second; a crowd comes by and by."""
SETTINGS = (
    "model",
    "hop",
    "seconds",
    "sample_rate",
    "chunk",
    "openings",
    "precision",
    "serve",
    "redis",
)


def main(argv: list[str]) -> int:
    """Run `timbre bench capacity`; 1 when not even the first number holds."""
    parser = _parser()
    given = parser.parse_args(argv)
    if given.card:
        from benchmarks.serving import card

        try:
            card.check_path(given.card)
        except InputError as error:
            parser.error(f"--card: {error}")
        return card.run(given)
    results.check_option(parser, given.json)
    tried: list[dict[str, Any]] = []
    before = measure.machine()

    def good(count: int) -> bool:
        tried.append(attempt(count, given))
        out = sys.stderr if given.json == results.PRINTED else sys.stdout
        print(as_line(tried[-1]), file=out, flush=True)
        return bool(tried[-1]["good"])

    most = schedule.largest(
        good, start=min(given.start, given.most), most=given.most, precision=given.precision
    )
    report = results.document(
        "capacity",
        command=shlex.join(["timbre", "bench", "capacity", *results.without_json(argv)]),
        settings={name: getattr(given, name) for name in SETTINGS},
        rows=[_held(most, tried, given)],
        machine=before,
        streams=most,
        tried=tried,
    )
    if not results.publish(given.json, report):
        print(
            f"{most} live streams, hop {given.hop:g} s, with p99 age <= {LIMIT_MS:g} ms and no drop"
        )
        print(results.where(report))
    return 0 if most else 1


def _held(most: int, tried: list[dict[str, Any]], given: argparse.Namespace) -> dict[str, Any]:
    """Return the row of the largest number that was served in time."""
    last = next((row for row in tried if row["good"] and row["streams"] == most), {})
    return {
        "what": f"live streams, hop {given.hop:g} s, p99 up to {LIMIT_MS:g} ms, nothing dropped",
        "model": given.model,
        "streams_held": most,
        "p50_ms": last.get("p50_ms"),
        "p99_ms": last.get("p99_ms"),
        "cores": last.get("server_cpu"),
        "load_cores": last.get("load_cpu"),
    }


def attempt(count: int, given: argparse.Namespace) -> dict[str, Any]:
    """Return how `count` streams fared, and whether that was good."""
    with server(given) as where:
        report = load.run(*where, clip_load=None, stream_load=load_of(count, given))
    if not report["streams"]["expected"] and not report["streams"]["failed"]:
        raise TimbreError(
            f"no window of the model fits into {given.seconds:g} s: increase --seconds"
        )
    return evaluate(report)


def load_of(count: int, given: argparse.Namespace) -> streams.Load:
    """Return the load of so many streams, with the sound of the command line."""
    return streams.Load(
        streams=count,
        seconds=given.seconds,
        hop=given.hop,
        sample_rate=given.sample_rate,
        chunk=given.chunk,
        ramp=count / given.openings,
        model=given.model,
    )


def server(given: argparse.Namespace) -> AbstractContextManager[tuple[str, int]]:
    """Give address and process id (0 of one that was named) of the command line's server."""
    if given.url:
        return nullcontext((given.url, 0))
    return server_process.served(shlex.split(given.serve), through_redis=given.redis)


def add_openings(parser: argparse.ArgumentParser) -> None:
    """Add the option that `load_of` needs beside those of a server and a sound."""
    parser.add_argument(
        "--openings",
        type=measure.within(1, 10**5),
        default=OPENINGS,
        metavar="N",
        help=f"streams opened a second ({OPENINGS:g})",
    )


def evaluate(report: dict[str, Any]) -> dict[str, Any]:
    """Return a row of the table, with whether every window was answered in time."""
    found = report["streams"]
    p99 = found["ms"]["p99"]
    lost = sum(found["dropped"].values()) + found["missing"] + sum(found["failed"].values())
    return {
        "streams": found["streams"],
        "good": p99 is not None and p99 <= LIMIT_MS and not lost,
        "p50_ms": found["ms"]["p50"],
        "p99_ms": p99,
        "told_p99_ms": found["told_ms"]["p99"],
        "dropped": sum(found["dropped"].values()),
        "missing": found["missing"],
        "failed": sum(found["failed"].values()),
        "lag_p99_ms": found["lag_ms"]["p99"],
        "server_cpu": report.get("server", {}).get("cpu"),
        "load_cpu": report["generator"]["cpu"],
    }


def as_line(row: dict[str, Any]) -> str:
    """Return a row as a line."""
    rest = "   ".join(
        f"{name} {'-' if row[name] is None else row[name]}"
        for name in row
        if name not in {"streams", "good"}
    )
    return f"{row['streams']:6} {'good' if row['good'] else 'TOO MANY'}   {rest}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre bench capacity", description=__doc__)
    load.add_server(parser, options=f"--gateways {os.cpu_count() or 1}")
    load.add_sound(parser, seconds=10.0, hop=1.0)
    add_openings(parser)
    count = measure.within(1, 10**5, int)
    parser.add_argument(
        "--start", type=count, default=125, metavar="N", help="first number tried (125)"
    )
    parser.add_argument(
        "--most", type=count, default=8_000, metavar="N", help="largest number tried (8000)"
    )
    share = measure.within(0, 1)
    parser.add_argument(
        "--precision", type=share, default=0.05, metavar="SHARE", help="of the answer (0.05)"
    )
    parser.add_argument(
        "--card",
        type=Path,
        metavar="FILE",
        help="measure streams, clips and pictures in a minute and draw them: .png or .html",
    )
    results.add_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
