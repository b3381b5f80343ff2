"""`timbre data split`: which sources train, validate and test, with clips and hours by label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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


COLOURS = {"train": "#2b6cb0", "valid": "#dd9a2b", "test": "#7b4f9d"}


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
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    *labels, total = rows
    labels = sorted(labels, key=lambda row: -sum(row[f"{part} hours"] for part in PARTS))
    # Minutes where hours would all be nought point something.
    unit, factor = (
        ("hours", 1)
        if max(sum(row[f"{p} hours"] for p in PARTS) for row in labels) >= 1
        else ("minutes", 60)
    )
    figure, axes = plt.subplots(figsize=(8, 1.4 + 0.3 * len(labels)), layout="constrained")
    left = [0.0] * len(labels)
    for part in PARTS:
        width = [factor * row[f"{part} hours"] for row in labels]
        share = f"{part}: {total[f'{part} clips']:,} clips, {total[f'{part} hours']:.2f} h"
        axes.barh(
            [row["label"] for row in labels],
            width,
            left=left,
            color=COLOURS[part],
            label=share,
            height=0.7,
        )
        left = [a + b for a, b in zip(left, width, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel(f"{unit} in which the label sounds")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)
