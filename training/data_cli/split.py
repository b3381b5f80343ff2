"""`timbre data split`: which sources train, choose and judge, with clips and hours by label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from training.cli import stage
from training.data_cli.main import parser, recipe_of
from training.recordings.load import load
from training.recordings.split import PARTS, Split, by_source, counts, missing

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.recordings.collection import Collection

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
    split = by_source(collection, recipe.split.shares, seed=recipe.seed)
    show(collection, split)
    if args.plot:
        plot(counts(collection, split), args.plot)
        print(args.plot)
    return 0


def show(collection: Collection, split: Split) -> None:
    """Print clips and hours per label and part, the sources, and what is missing where."""
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("label", box=box.SIMPLE, pad_edge=False)
    for part in PARTS:
        table.add_column(f"{part}\nclips", justify="right")
        table.add_column("\nhours", justify="right")
    for row in counts(collection, split):
        if row["label"] == "all":
            table.add_section()
        cells = (
            f"{row[f'{part} {what}']:,{form}}"
            for part in PARTS
            for what, form in (("clips", ""), ("hours", ".2f"))
        )
        table.add_row(escape(str(row["label"])), *cells)
    console = Console()
    console.print(table)
    for part in PARTS:
        sources = split.sources(part)
        few = ", ".join(sources[:6]) + (", ..." if len(sources) > 6 else "")
        console.print(
            f"{part}: {len(sources)} source{'s' * (len(sources) != 1)}: {few}",
            highlight=False,
            markup=False,
        )
    for part, labels in missing(collection, split).items():
        if labels:
            console.print(f"nothing in {part}: {', '.join(labels)}", highlight=False, markup=False)


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
