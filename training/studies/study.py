"""What a study gives: tables in Markdown, HTML and JSON, and a plot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from common.atomic import write_atomic
from common.page import Html, chart, page, paragraph, table
from common.strict_json import to_json
from training.reporting import charts
from training.reporting.markdown import table as markdown_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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
    figure: Any
    """A figure of matplotlib."""
    caption: str
    """What the plot shows."""
    data: dict[str, Any]
    """All figures, for programs."""


def markdown(study: Study) -> str:
    """Return the study as Markdown."""
    parts = [f"# {study.title}", study.about]
    for sheet in study.sheets:
        parts += [f"## {sheet.title}", sheet.note, markdown_table(sheet.head, sheet.rows)]
    parts += [f"![{study.caption}]({study.name}.svg)", study.caption]
    return "\n\n".join(parts) + "\n"


def html(study: Study) -> str:
    """Return the study as a self-contained page."""
    drawn = chart(charts.inline(study.figure), study.caption)
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


def write(study: Study, folder: Path) -> list[Path]:
    """Write NAME.md, NAME.html, NAME.svg, NAME.json to a folder, atomically; return the paths."""
    texts = {
        "md": markdown(study),
        "html": html(study),
        "svg": charts.alone(study.figure),
        "json": to_json(study.data, indent=1) + "\n",
    }
    for ending, text in texts.items():
        write_atomic(folder / f"{study.name}.{ending}", text)
    return [folder / f"{study.name}.{ending}" for ending in texts]
