"""`timbre bench`: speed side by side with the alternatives, in one run."""

from __future__ import annotations

import argparse
import importlib
import sys
from typing import Any, NamedTuple

from rich.table import Table

from common.console import console
from common.strict_json import to_json

OK, SHORT = 0, 1


class Program(NamedTuple):
    """A benchmark with a command line of its own."""

    module: str
    help: str


HELP = {
    "features": "the 26 features beside librosa, and the forest beside scikit-learn",
    "forest": "the forest alone",
    "queues": "a job through both queues",
    "pictures": "a picture by REST beside the bare ONNX Runtime call",
    "open-inference": "tensors by the Open Inference Protocol beside FastAPI + ONNX Runtime",
    "idle": "wake-ups and CPU time of a server without work",
    "memory": "what live streams add to the memory of a server",
    "metrics": "CPU time of what a live window counts, beside that of the window",
    "packing": "folders of pictures made arrays, by kind of picture",
}
PARTS = {"features": ("features", "forest")}
"""What is measured with another; else a subject is measured alone."""
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
    "overload": Program(
        "benchmarks.serving.overload",
        "live streams past the capacity: answers, drops, ages told and felt, recovery",
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
    args = _parser().parse_args(argv)
    from benchmarks import measure

    names = PARTS.get(args.what, (args.what.replace("-", "_"),))
    subjects = [importlib.import_module(f"benchmarks.{name}") for name in names]
    tables = [(subject, subject.run(tiny=args.tiny)) for subject in subjects]
    where = measure.machine()
    missed = [line for subject, table in tables for line in subject.shortfalls(table)]
    if args.json:
        print(
            to_json(
                {
                    "machine": where,
                    "rows": [row for _, table in tables for row in table],
                    "missed": missed,
                }
            )
        )
        return SHORT if missed else OK
    for subject, table in tables:
        _show(subject.TITLE, table, where)
    for line in missed:
        print(f"not met: {line}", file=sys.stderr)
    return SHORT if missed else OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre bench", description=__doc__)
    kinds = parser.add_subparsers(dest="what", required=True, metavar=" | ".join([*HELP, *OWN]))
    for name, text in HELP.items():
        kind = kinds.add_parser(name, help=text)
        kind.add_argument("--json", action="store_true", help="print JSON")
        kind.add_argument("--tiny", action="store_true", help="a few rounds, to see that it runs")
    for name, program in OWN.items():
        kinds.add_parser(name, help=program.help)
    return parser


def _show(title: str, table: list[dict[str, Any]], where: dict[str, Any]) -> None:
    grid = Table(title=title, caption=", ".join(f"{name} {value}" for name, value in where.items()))
    for name in table[0]:
        grid.add_column(
            name.replace("_", " "), justify="left" if isinstance(table[0][name], str) else "right"
        )
    for row in table:
        grid.add_row(
            *(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values())
        )
    console().print(grid)
