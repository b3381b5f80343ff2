"""The feature table of a recipe, computed or from the cache."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from training.common.progress import stage
from training.recordings.build import build
from training.recordings.extract import Settings
from training.recordings.given_split import split_of
from training.recordings.load import load
from training.recordings.print_split import print_split
from training.recordings.recipe_of import cache_of
from training.recordings.sounding import sounding
from training.recordings.split import PARTS
from training.recordings.table import KINDS

if TYPE_CHECKING:
    from training.recordings.collection import Collection, Problem
    from training.recordings.settings import SoundsRecipe
    from training.recordings.table import Table


def table_of(
    recipe: SoundsRecipe, out: Path, *, kinds: tuple[str, ...]
) -> tuple[Table, Collection, tuple[Problem, ...]]:
    """Return the table of a recipe's collection, the collection, and what the table is without."""
    with stage("list the collection") as progress:
        collection = load(recipe.collection, progress)
    if recipe.windows.active:
        with stage("find where something sounds") as progress:
            collection = sounding(collection, recipe.windows, progress)
    with stage("split"):
        split = split_of(collection, recipe)
    print_split(collection, split)
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
            about={"collection": recipe.collection.kind},
        )
    seconds = time.monotonic() - begun
    if computed:
        print(
            f"{computed:,} windows computed in {seconds:.1f} s, {computed / seconds:,.0f} a second"
        )
    return table, collection, (*collection.problems, *problems)


def print_summary(table: Table) -> None:
    """Print where a table is and what it holds."""
    parts = ", ".join(f"{part} {len(table.rows(part)):,}" for part in PARTS)
    print(
        f"{table.path}: {len(table):,} windows ({parts}) of {len(table.sources)} sources, "
        f"{len(table.names)} labels"
    )
