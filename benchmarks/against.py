"""The server of this checkout beside that of another one, by turns, under the same load.

The other checkout, such as a `git worktree` of an earlier commit, needs an environment of its own
in `.venv`. The load generator is always that of this checkout.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path
from typing import Any

from benchmarks import measure, server_process
from benchmarks.reporting import results, tables
from benchmarks.serving import capacity, clips, load, schedule, streams

ROOT = Path(__file__).parent.parent
BETTER = {
    "streams": "streams held without a drop",
    "cpu_ms": "CPU per window, ms",
    "age_p50_ms": "age of a window, p50 ms",
    "age_p99_ms": "age of a window, p99 ms",
    "stream_mib": "resident memory with the streams, MiB",
    "clips_s": "1,000 clips from 100 clients, s",
    "livez_p99_ms": "/livez meanwhile, p99 ms",
}
HEADS = {"other": "the other", "this": "this one", "ratio": "times better"}
SETTINGS = ("rounds", "streams", "seconds", "hop", "model", "serve", "redis", "precision")
CLIPS = clips.Load(requests=1_000, clients=100)


def main(argv: list[str]) -> int:
    """Run `timbre bench against`. Raises TimbreError when a server does not get ready."""
    parser = _parser()
    given = parser.parse_args(argv)
    results.check_option(parser, given.json)
    before = measure.machine()
    checkouts = {"other": given.other.resolve(), "this": ROOT}
    found: dict[str, dict[str, list[float]]] = {
        name: {figure: [] for figure in BETTER} for name in checkouts
    }
    for _ in range(given.rounds):
        for name, folder in checkouts.items():
            for figure, value in round_of(folder, given).items():
                if value is not None:  # too short a load for it
                    found[name][figure].append(value)
    rows = [
        row_of(figure, found)
        for figure in BETTER
        if all(figures[figure] for figures in found.values())
    ]
    tables.publish(given.json, report_of(rows, given, before))
    return 0


def report_of(
    rows: list[dict[str, Any]], given: argparse.Namespace, machine: dict[str, Any]
) -> dict[str, Any]:
    """Return the results; machine: as it was before."""
    settings = {name: getattr(given, name) for name in SETTINGS}
    other = measure.commit(given.other)
    options = [f"--{name}={value}" for name, value in settings.items() if name != "redis"]
    options += ["--redis"] if given.redis else []
    options += ["--no-capacity"] if given.no_capacity else []
    return results.document(
        "against",
        command=shlex.join(["timbre", "bench", "against", "CHECKOUT", *options]),
        settings=settings | {"other": other},
        rows=rows,
        machine=machine,
        heads=HEADS,
        note=f"The other is commit {other}.",
    )


def round_of(folder: Path, given: argparse.Namespace) -> dict[str, float | None]:
    """Return the figures of one round of one checkout."""
    figures: dict[str, float | None] = {}
    if not given.no_capacity:
        figures["streams"] = _capacity(folder, given)
    with _served(folder, given) as (url, pid):
        report = load.run(url, pid, clip_load=None, stream_load=_streams(given.streams, given))
        found, server = report["streams"], report["server"]
        windows = max(1, found["answered"])
        figures["cpu_ms"] = 1e3 * server["cpu"] * report["seconds"] / windows
        figures["age_p50_ms"], figures["age_p99_ms"] = found["ms"]["p50"], found["ms"]["p99"]
        figures["stream_mib"] = server["mib"]
    with _served(folder, given) as (url, pid):
        report = load.run(url, pid, clip_load=CLIPS, stream_load=None)
        figures["clips_s"] = report["clips"]["seconds"]
        figures["livez_p99_ms"] = report["pulse_ms"]["p99"]
    return figures


def _capacity(folder: Path, given: argparse.Namespace) -> int:
    def good(count: int) -> bool:
        with _served(folder, given) as (url, pid):
            report = load.run(url, pid, clip_load=None, stream_load=_streams(count, given))
        row = capacity.evaluate(report)
        print(f"{folder.name}: {capacity.as_line(row)}", file=sys.stderr, flush=True)
        return bool(row["good"])

    return schedule.largest(good, start=given.streams, most=10**5, precision=given.precision)


def _streams(count: int, given: argparse.Namespace) -> streams.Load:
    return streams.Load(
        streams=count,
        seconds=given.seconds,
        hop=given.hop,
        ramp=count / capacity.OPENINGS,
        model=given.model,
    )


def _served(folder: Path, given: argparse.Namespace) -> Any:
    return server_process.served(
        shlex.split(given.serve), through_redis=given.redis, checkout=folder
    )


def row_of(figure: str, found: dict[str, dict[str, list[float]]]) -> dict[str, Any]:
    """Return median and quartiles of a figure of both, and how many times better this one is."""
    row: dict[str, Any] = {"what": BETTER[figure]}
    for name in ("other", "this"):
        row[f"{name}_p25"], row[name], row[f"{name}_p75"] = measure.quartiles(found[name][figure])
    better = row["this"] / row["other"] if figure == "streams" else row["other"] / row["this"]
    return row | {"ratio": better}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre bench against", description=__doc__)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--rounds", type=measure.within(1, 100, int), default=3, metavar="N")
    parser.add_argument(
        "--streams", type=measure.within(1, 10**5, int), default=250, metavar="N", help="(250)"
    )
    parser.add_argument("--seconds", type=measure.within(2, 3_600), default=10.0, metavar="S")
    parser.add_argument("--hop", type=measure.within(0.1, 2), default=1.0, metavar="S")
    parser.add_argument("--model", default="instruments")
    parser.add_argument("--serve", default="--gateways 2", metavar="OPTIONS")
    parser.add_argument("--redis", action="store_true", help="through a Redis of their own")
    parser.add_argument("--precision", type=measure.within(0, 1), default=0.1, metavar="SHARE")
    parser.add_argument("--no-capacity", action="store_true", help="do not search for it")
    results.add_option(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
