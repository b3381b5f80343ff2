"""Prints which sources are in the training, validation and test part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from training.recordings.split import PARTS, Split, counts, missing

if TYPE_CHECKING:
    from training.recordings.collection import Collection


def print_split(collection: Collection, split: Split) -> None:
    """Print clips and hours per label and part, the sources, and what is missing where."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from common.console import console

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
    screen = console()
    screen.print(table)
    for part in PARTS:
        sources = split.sources(part)
        few = ", ".join(sources[:6]) + (", ..." if len(sources) > 6 else "")
        screen.print(
            f"{part}: {len(sources)} source{'s' * (len(sources) != 1)}: {few}",
            highlight=False,
            markup=False,
        )
    for part, labels in missing(collection, split).items():
        if labels:
            screen.print(f"nothing in {part}: {', '.join(labels)}", highlight=False, markup=False)
