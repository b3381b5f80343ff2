"""`timbre data table`: the features of every window of a collection, computed in parallel and only once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from training.cli import stage
from training.data_cli.check import report
from training.data_cli.main import cache_of, parser, recipe_of
from training.data_cli.split import show
from training.recordings.build import build
from training.recordings.extract import Settings
from training.recordings.load import load
from training.recordings.split import PARTS, by_source
from training.recordings.table import KINDS

if TYPE_CHECKING:
    import argparse

    from training.recordings.collection import Problem
    from training.recordings.settings import SoundsRecipe
    from training.recordings.table import Table


def main(argv: list[str]) -> int:
    """Run `timbre data table`; 1 when there are problems, though the table is there."""
    args = _parser().parse_args(argv)
    if args.spec == "instruments":
        from training.data_cli.instruments_table import instruments

        table = instruments(
            args.set, args.out or Path("tables/instruments"), kinds=tuple(args.kind or KINDS[:1])
        )
        tell(table)
        return 0
    recipe = recipe_of(args.spec, args.set)
    out = args.out or Path("tables") / recipe.name
    table, problems = table_of(recipe, out, kinds=tuple(args.kind or KINDS[:1]))
    tell(table)
    return report(problems, out.with_name(f"{out.name}-problems.csv"))


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


def table_of(
    recipe: SoundsRecipe, out: Path, *, kinds: tuple[str, ...]
) -> tuple[Table, tuple[Problem, ...]]:
    """Return the table of a recipe's collection, and everything that it does without."""
    with stage("list the collection") as progress:
        collection = load(recipe.collection, progress)
        split = by_source(collection, recipe.split.shares, seed=recipe.seed)
    show(collection, split)
    wanted = tuple(kind for kind in KINDS if kind in kinds)
    settings = Settings.of(recipe, wanted)
    begun, computed = time.monotonic(), 0
    with stage(" and ".join(wanted).replace("_", "-")) as progress:

        def count(done: int, total: int) -> None:
            nonlocal computed
            computed = done
            progress(done, total)

        table, problems = build(
            collection,
            split,
            settings,
            out,
            cache=cache_of(recipe),
            jobs=recipe.jobs,
            progress=count,
        )
    seconds = time.monotonic() - begun
    if computed:
        print(
            f"{computed:,} windows computed in {seconds:.1f} s, {computed / seconds:,.0f} a second"
        )
    return table, (*collection.problems, *problems)


def tell(table: Table) -> None:
    """Print where a table is and what it holds."""
    parts = ", ".join(f"{part} {len(table.rows(part)):,}" for part in PARTS)
    print(
        f"{table.path}: {len(table):,} windows ({parts}) of {len(table.sources)} sources, {len(table.names)} labels"
    )
