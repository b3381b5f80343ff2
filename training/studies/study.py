"""What a study gives: tables in Markdown, HTML and JSON, and a plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from common.atomic import write_atomic
from common.page import Html, chart, page, paragraph, table
from common.strict_json import to_json
from training.reporting import charts
from training.reporting.markdown import table as markdown_table
from training.studies.protocol import LEAKY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.recordings.table import Table


KEYS = (charts.Key("sources not trained on", 0), charts.Key(LEAKY, 1, "open"))
"""The legend of plots of both protocols."""
ORIGINAL = "musicnet"
"""The kind of collection of the original work."""


class Sheet(NamedTuple):
    """One table, the first column text."""

    title: str
    note: str
    head: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Study:
    """A finished study."""

    name: str
    title: str
    about: str
    """One paragraph: question and data."""
    sheets: list[Sheet]
    plots: Sequence[charts.Draw]
    """One panel each, on the axes that it is called with."""
    caption: str
    """What the plot shows."""
    data: dict[str, Any]
    """All figures, for programs."""
    keys: Sequence[charts.Key] = ()
    """The legend of the plots."""
    height: float = 3.0
    """Inches of a panel."""


def markdown(study: Study) -> str:
    """Return the study as Markdown."""
    parts = [f"# {study.title}", study.about]
    for sheet in study.sheets:
        parts += [f"## {sheet.title}", sheet.note, markdown_table(sheet.head, sheet.rows)]
    parts += [f"![{study.caption}]({study.name}.svg)", study.caption]
    return "\n\n".join(parts) + "\n"


def html(study: Study) -> str:
    """Return the study as a self-contained page."""
    if len(study.plots) == 1:
        shown = charts.one(study.plots[0], keys=study.keys, height=study.height)
    else:
        shown = charts.apart(study.plots, keys=study.keys, height=study.height)
    drawn = chart(shown, study.caption)
    sheets = [
        (
            sheet.title,
            Html(
                paragraph(sheet.note, note=True) + table(sheet.head, sheet.rows, words=("takes",))
            ),
        )
        for sheet in study.sheets
    ]
    return page(study.title, [("Plot", drawn), *sheets], lead=paragraph(study.about), before=Html())


def is_original(table: Table) -> bool:
    """Return whether a table is of the original work's data, so that its figures compare."""
    return table.about.get("collection") == ORIGINAL


def write(study: Study, folder: Path) -> list[Path]:
    """Write NAME.md, NAME.html, NAME.svg, NAME.json to a folder, atomically; return the paths."""
    texts = {
        "md": markdown(study),
        "html": html(study),
        "svg": charts.together(study.plots, keys=study.keys, height=study.height),
        "json": to_json(study.data, indent=1) + "\n",
    }
    for ending, text in texts.items():
        write_atomic(folder / f"{study.name}.{ending}", text)
    return [folder / f"{study.name}.{ending}" for ending in texts]
