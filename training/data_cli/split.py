"""`timbre data split`: which sources train, validate and test, with clips and hours by label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from training.common.part_histogram import draw
from training.common.progress import stage
from training.data_cli.main import parser
from training.recordings.given_split import split_of
from training.recordings.load import load
from training.recordings.print_split import print_split
from training.recordings.recipe_of import recipe_of
from training.recordings.split import PARTS, counts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def main(argv: list[str]) -> int:
    """Run `timbre data split`."""
    from pathlib import Path

    options = parser("split", __doc__ or "")
    options.add_argument(
        "--plot", type=Path, metavar="PNG", help="write the hours per label and part as a picture"
    )
    args = options.parse_args(argv)
    recipe = recipe_of(args.spec, args.set)
    with stage("list the collection") as progress:
        collection = load(recipe.collection, progress)
    split = split_of(collection, recipe)
    print_split(collection, split)
    if args.plot:
        plot(counts(collection, split), args.plot)
        print(args.plot)
    return 0


def plot(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the hours per label and part as a PNG file: one bar per label, its parts in a row."""
    *labels, total = rows
    labels = sorted(labels, key=lambda row: -sum(row[f"{part} hours"] for part in PARTS))
    hours = np.array([[row[f"{part} hours"] for part in PARTS] for row in labels])
    # Minutes where hours would all be nought point something.
    unit, factor = ("hours", 1) if hours.sum(axis=1).max() >= 1 else ("minutes", 60)
    clips = ", ".join(f"{part} {total[f'{part} clips']:,}" for part in PARTS)
    draw(
        factor * hours,
        [row["label"] for row in labels],
        PARTS,
        path,
        what=f"{unit} in which the label sounds",
        title=f"Clips: {clips}",
    )
