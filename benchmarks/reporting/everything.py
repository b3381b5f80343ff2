"""`timbre bench all`: every benchmark, each in a process of its own, and the page of the results.

Without --short it takes about an hour. A benchmark that ends with an error is named; its results of
before stay.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import cli
from benchmarks.reporting import page, results

SHORT: dict[str, list[str]] = {
    "features": [],
    "forest": [],
    "open-inference": [],
    "queues": [],
    "pictures": [],
    "equality": [],
    "memory": [],
    "scale": [],
    "live": [],
    "capacity": ["--start", "250", "--precision", "0.1", "--seconds", "8"],
}
LONG: dict[str, list[str]] = {
    "feature-peers": [],
    "forest-peers": [],
    "servers": [],
    "search-peers": [],
    "search": [],
    "overload": ["--start", "250", "--precision", "0.15", "--seconds", "10"],
    "low-memory": [],
    "autoscaling": [],
    "packing": [],
    "idle": [],
    "overload-redis": ["--redis", "--start", "250", "--precision", "0.15", "--seconds", "10"],
}
"""Options of each besides --json."""
BENCHMARKS = {"overload-redis": "overload"}
"""Of results whose benchmark has another name."""
TRIED = (
    *("tried-networks", "tried-teacher", "tried-longer", "tried-scores", "goals"),
    "other-sounds",
)
"""Of trainings, whose own report.md has the figures."""
ELSEWHERE = {
    "cluster": "sudo make cluster",
    "upgrade": "make upgrade",
    "package": "make package",
    "container": "sudo make container",
    "arm64": "sudo make arm64",
    "arm64-tests": "sudo make arm64",
    "against": "timbre bench against CHECKOUT",
    "thresholds": "tools/threshold_figures.py",
    "events": "tools/event_figures.py",
    "own-sounds": "tools/own_sounds_figures.py",
    "clip-art-svm": "tools/style_figures.py",
    "monitor-delay": "tools/monitor_delay.py",
    "monitor-days": "tests/service/monitor/test_three_days.py",
    "tracing": "",
    **dict.fromkeys(TRIED, "timbre train"),
}
"""What measures the other results: make writes them with JSON=FILE, tools with --json FILE, a test
with RESULT=FILE; empty: there is no such command."""
CODE = "import sys; from service.cli.main import main; sys.exit(main(sys.argv[1:]))"


def main(argv: list[str]) -> int:
    """Run `timbre bench all`; 1 when one could not be measured."""
    parser = _parser()
    given = parser.parse_args(argv)
    known = SHORT if given.short else SHORT | LONG
    names = given.only or list(known)
    for name in names:
        if name not in SHORT | LONG:
            parser.error(f"--only: no benchmark {name!r}; there are {', '.join(SHORT | LONG)}")
    if not given.out.is_dir():
        parser.error(f"--out: no folder {given.out}")
    failed = [name for name in names if not _measured(name, given)]
    if given.out == results.FOLDER:
        page.main([])
    for name in failed:
        print(f"not measured: {name}", file=sys.stderr)
    return 1 if failed else 0


def _measured(name: str, given: argparse.Namespace) -> bool:
    """Measure in a process of its own; return whether there are results."""
    options = ["--tiny"] if given.tiny and name in cli.HELP else (SHORT | LONG)[name]
    benchmark = BENCHMARKS.get(name, name)
    print(f"timbre bench {name}", flush=True)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / f"{name}.json"
        command = [sys.executable, "-c", CODE, "bench", benchmark, *options, "--json", str(made)]
        subprocess.run(command, check=False)  # noqa: S603 - its exit code is 1 below an aim, too
        measured = made.exists()
        if measured:
            results.write(given.out / made.name, results.read(made))
    print(f"timbre bench {name}: {time.monotonic() - begin:.0f} s", flush=True)
    return measured


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre bench all", description=__doc__)
    parser.add_argument("--short", action="store_true", help="what takes under ten minutes")
    parser.add_argument("--tiny", action="store_true", help="a few rounds, to see that it runs")
    parser.add_argument(
        "--only", metavar="A,B", type=lambda text: text.split(","), help="these alone"
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=results.FOLDER,
        metavar="DIR",
        help="where the results go (benchmarks/results); page and documents are made from those",
    )
    return parser
