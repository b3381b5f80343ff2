"""`timbre bench`: speed side by side with the alternatives, in one run."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any, NamedTuple

from rich.table import Table

from benchmarks import measure
from benchmarks.reporting import results, tables
from common.console import console

OK, SHORT = 0, 1


class Program(NamedTuple):
    """A benchmark and what it measures."""

    module: str
    help: str


HELP = {
    "features": Program("benchmarks.features", "the 26 features beside librosa, live and whole"),
    "forest": Program("benchmarks.forest", "a forest beside scikit-learn and skl2onnx"),
    "queues": Program("benchmarks.queues", "a job through both queues"),
    "pictures": Program(
        "benchmarks.pictures", "a picture by REST beside the bare ONNX Runtime call"
    ),
    "open-inference": Program(
        "benchmarks.open_inference",
        "tensors by the Open Inference Protocol beside FastAPI + ONNX Runtime",
    ),
    "live": Program("benchmarks.serving.live", "live streams and clips: answered, ages, costs"),
    "equality": Program(
        "benchmarks.equality", "scores of a stream less those of the file, of ours and usual ways"
    ),
    "feature-peers": Program(
        "benchmarks.comparisons.feature_peers", "the features of a window beside other libraries"
    ),
    "forest-peers": Program(
        "benchmarks.comparisons.forest_peers", "trees beside treelite, lightgbm and others"
    ),
    "servers": Program(
        "benchmarks.comparisons.server_peers",
        "the same graph behind FastAPI, LitServe, BentoML, MLServer; clips beside a process pool",
    ),
    "scale": Program(
        "benchmarks.scale.growth", "a million live streams, simulated from times measured here"
    ),
    "search-peers": Program(
        "benchmarks.comparisons.search_peers",
        "the best forest of a grid beside GridSearchCV and Optuna",
    ),
    "idle": Program("benchmarks.idle", "wake-ups and CPU time of a server without work"),
    "memory": Program("benchmarks.memory", "what live streams add to the memory of a server"),
    "low-memory": Program(
        "benchmarks.serving.low_memory",
        "a server of one model with and without low_memory: memory, and its price in time",
    ),
    "metrics": Program(
        "benchmarks.metrics", "CPU time of what a live window counts, beside that of the window"
    ),
    "packing": Program("benchmarks.packing", "folders of pictures made arrays, by kind of picture"),
}
# These have command lines of their own.
OWN = {
    "load": Program(
        "benchmarks.serving.load",
        "clips and live streams against a server: answers, latencies, a report",
    ),
    "capacity": Program(
        "benchmarks.serving.capacity", "the largest number of live streams without a drop"
    ),
    "against": Program(
        "benchmarks.against",
        "the server of another checkout beside this one's, under the same load",
    ),
    "autoscaling": Program(
        "benchmarks.autoscaling.command", "what KEDA makes of a day of load, simulated"
    ),
    "overload": Program(
        "benchmarks.serving.overload",
        "live streams past the capacity: answers, drops, ages told and felt, recovery",
    ),
    "all": Program(
        "benchmarks.reporting.everything",
        "all of these, each with its file of results, and the page of them",
    ),
    "page": Program(
        "benchmarks.reporting.page", "the page, the tables and the pictures of the results"
    ),
    "compare": Program(
        "benchmarks.reporting.compare",
        "whether two results agree in their ratios: A B [--tolerance SHARE]",
    ),
    "search": Program(
        "benchmarks.search",
        "a forest's whole grid beside GridSearchCV: time, and whether the rankings agree",
    ),
}


def main(argv: list[str]) -> int:
    """Run `timbre bench` with these arguments; 1 when a budget is not met."""
    if argv and argv[0] in OWN:
        code: int = importlib.import_module(OWN[argv[0]].module).main(argv[1:])
        return code
    parser = _parser()
    args = parser.parse_args(argv)
    results.check_option(parser, args.json)
    subject = importlib.import_module(HELP[args.what].module)
    before = measure.machine()
    table = subject.run(tiny=args.tiny)
    # What could not be measured is no row among figures.
    rows = [row for row in table if "gap" not in row]
    gaps = {row["name"]: row["gap"] for row in table if "gap" in row}
    report = results.document(
        args.what,
        command=f"timbre bench {args.what}{' --tiny' if args.tiny else ''}",
        settings=settings_of(subject, tiny=args.tiny),
        rows=rows,
        missed=subject.shortfalls(rows),
        **({"gaps": gaps} if gaps else {}),
        **({"heads": subject.HEADS} if hasattr(subject, "HEADS") else {}),
        machine=before,
    )
    if results.publish(args.json, report):
        return SHORT if report["missed"] else OK
    _show(subject.TITLE, report, before)
    for name, why in gaps.items():
        print(f"not measured: {name}: {why}", file=sys.stderr)
    for line in report["missed"]:
        print(f"not met: {line}", file=sys.stderr)
    return SHORT if report["missed"] else OK


def settings_of(subject: Any, *, tiny: bool) -> dict[str, Any]:
    """Return what must be the same in two runs whose ratios are compared."""
    named: dict[str, Any] = getattr(subject, "TINY" if tiny else "FULL", {})
    return {"tiny": tiny, **named}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre bench", description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True, metavar=" | ".join([*HELP, *OWN]))
    for name, program in HELP.items():
        kind = kinds.add_parser(name, help=program.help)
        results.add_option(kind)
        kind.add_argument("--tiny", action="store_true", help="a few rounds, to see that it runs")
    for name, program in OWN.items():
        kinds.add_parser(name, help=program.help)
    return parser


def _show(title: str, report: dict[str, Any], where: dict[str, Any]) -> None:
    for shown in tables.views_of(report):
        grid = Table(title=title)
        for number, name in enumerate(shown.head):
            grid.add_column(name, justify="left" if number < shown.words else "right")
        for row in shown.rows:
            grid.add_row(*row)
        console(width=140).print(grid)
    print(", ".join(f"{name} {value}" for name, value in where.items()))
