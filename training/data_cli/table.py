"""`timbre data table`: computes the features of a collection's windows, in parallel, once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from training.data_cli.main import parser
from training.recordings.problems import write_problems
from training.recordings.recipe_of import recipe_of
from training.recordings.table import KINDS
from training.recordings.table_of_recipe import print_summary, table_of

if TYPE_CHECKING:
    import argparse


def main(argv: list[str]) -> int:
    """Run `timbre data table`; 1 when there are problems, though the table is there."""
    args = _parser().parse_args(argv)
    if args.spec == "instruments":
        from training.data_cli.instruments_table import instruments

        table = instruments(
            args.set, args.out or Path("tables/instruments"), kinds=tuple(args.kind or KINDS[:1])
        )
        print_summary(table)
        return 0
    recipe = recipe_of(args.spec, args.set)
    out = args.out or Path("tables") / recipe.name
    table, _, problems = table_of(recipe, out, kinds=tuple(args.kind or KINDS[:1]))
    print_summary(table)
    return write_problems(problems, out.with_name(f"{out.name}-problems.csv"))


def _parser() -> argparse.ArgumentParser:
    options = parser(
        "table",
        f"{__doc__} The recipe `instruments` is a SPEC as well: the windows of the shipped models.",
    )
    options.add_argument(
        "--out", type=Path, metavar="DIR", help="default: tables/NAME, by the recipe's name"
    )
    options.add_argument(
        "--kind", action="append", choices=KINDS, help="default: features; may be given twice"
    )
    return options
