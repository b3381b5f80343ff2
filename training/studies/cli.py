"""`timbre study`: one question about a table, answered by tables and a plot."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from training.common.cli_helpers import bounded_int, run_command
from training.common.progress import stage

if TYPE_CHECKING:
    from training.studies.study import Study

STUDIES = {
    "windows": "scores by length of the window; TABLE is recordings: a folder, a list or a recipe",
    "models": "the original work's eight models and six more: scores, times, memory, size",
    "pca": "components against information lost",
    "importance": "which groups of features matter, by permutation and by source",
    "learning-curve": "scores by recordings of each label, and what twice as many would bring",
}


def main(argv: list[str]) -> int:
    """Run a study and return the exit code: 0 done, 1 rejected, 130 interrupted."""
    options = _parser().parse_args(argv)
    return run_command("study", lambda: _print(options))


def _print(options: argparse.Namespace) -> None:
    study = _run(options)
    # Only now: what is written needs matplotlib.
    from training.studies.study import markdown, write

    print(markdown(study))
    for path in write(study, options.out):
        print(path, file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    listing = "; ".join(f"{name}: {what}" for name, what in STUDIES.items())
    parser = argparse.ArgumentParser(prog="timbre study", description=__doc__, epilog=listing)
    parser.add_argument("study", metavar="NAME", choices=STUDIES, help=", ".join(STUDIES))
    what = "a folder that `timbre data table` made; for windows what `timbre data table` takes"
    parser.add_argument("table", metavar="TABLE", type=Path, help=what)
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=Path("studies"), help="default: %(default)s"
    )
    for name, least, default, about in (
        ("rows", 1, 20_000, "training windows at most (%(default)s)"),
        ("seed", 0, 1, "of everything random (%(default)s)"),
        ("jobs", 1, 2, "threads, where a model can use them (%(default)s)"),
        ("epochs", 0, 0, "of the networks; 0: the number that each network has as its default"),
    ):
        parser.add_argument(f"--{name}", type=bounded_int(least), default=default, help=about)
    parser.add_argument("--only", default="", metavar="NAME;NAME", help="compare only these models")
    parser.add_argument(
        "--lengths", default="1,2,3,4,5,6,7,8,9,10,11,12", help="of windows, s (%(default)s)"
    )
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="change a recipe's setting"
    )
    return parser


def _run(options: argparse.Namespace) -> Study:
    from training.recordings.table import open_table
    from training.studies.protocol import Options

    only = tuple(name.strip() for name in options.only.split(";") if name.strip())
    given = Options(
        rows=options.rows, seed=options.seed, jobs=options.jobs, epochs=options.epochs, only=only
    )
    if options.study == "windows":
        from training.recordings.recipe_of import recipe_of
        from training.studies import windows

        recipe = recipe_of(str(options.table), options.set)
        return windows.run(recipe, windows.lengths_of(options.lengths), given, stage)
    table = open_table(options.table)
    with stage(f"study {options.study}") as progress:
        module = importlib.import_module(f"training.studies.{options.study.replace('-', '_')}")
        study: Study = module.run(table, given, progress)
    return study
