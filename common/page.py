"""The HTML page of every report: one file, no other request, light and dark, readable on phones."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

STYLE = Path(__file__).with_name("page.css")
LONG = 60
"""Characters of a name from which on it may be cut."""
BRIEF = 24
"""Characters of a text up to which its cell is not broken into lines."""


class Html(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def opening(title: str, *, style: str = "") -> str:
    """Return the head of a page, up to where the content of <main> begins. style: CSS besides."""
    sheets = STYLE.read_text(encoding="utf-8") + style
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{sheets}</style></head><body><main>"
    )


def closing(*, script: str = "") -> str:
    """Return the end of a page, from where the content of <main> ends. script: JavaScript."""
    return f"</main>{f'<script>{script}</script>' if script else ''}</body></html>\n"


def document(title: str, body: str, *, style: str = "") -> str:
    """Return a whole page. body: HTML. style: CSS besides."""
    return opening(title, style=style) + body + closing()


def page(title: str, sections: Iterable[tuple[str, Html]], *, lead: Html, before: Html) -> str:
    """Return a page with a table of contents: title, lead, `before`, then (heading, content)."""
    parts = [(heading, content) for heading, content in sections if content]
    links = "".join(f'<a href="#{_anchor(heading)}">{escape(heading)}</a>' for heading, _ in parts)
    body = "".join(
        f'<section><h2 id="{_anchor(name)}">{escape(name)}</h2>{content}</section>'
        for name, content in parts
    )
    top = f'<h1>{escape(title)}</h1><div class="lead">{lead}</div>{before}<nav>{links}</nav>'
    return document(title, top + body)


def escape(value: Any) -> Html:
    """Return a value as HTML text, numbers with three decimals, nothing as a dash."""
    if isinstance(value, Html):
        return value
    if value is None:
        return Html("-")
    return Html(html.escape(f"{value:z.3f}" if isinstance(value, float) else str(value)))


def name_of(value: Any) -> Html:
    """Return the first cell of a row; what is long is cut to three lines, with all as its title."""
    text = escape(value)
    if isinstance(value, Html) or len(text) <= LONG:
        return text
    return Html(f'<span class="long" title="{text}">{text}</span>')


def paragraph(text: str, *, note: bool = False) -> Html:
    """Return a paragraph; a note is set smaller."""
    return Html(f"<p{' class=note' if note else ''}>{escape(text)}</p>")


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    strong: str = "",
    words: Sequence[str] = (),
) -> Html:
    """Return a table; the first column is text.

    strong: first cell of the rows to stress. words: names of the columns of text.
    """
    kinds = ["words" if name in words else "" for name in head]
    top = _row("th", [escape(name) for name in head], kinds)
    body = ""
    for row in rows:
        stressed = " class=strong" if strong and row[0] == strong else ""
        cells = [name_of(row[0]), *(escape(cell) for cell in row[1:])]
        of = [
            f'"{kind} brief"' if kind and len(cell) <= BRIEF else kind
            for kind, cell in zip(kinds, cells, strict=True)
        ]
        body += f"<tr{stressed}>{_row('td', cells, of)}</tr>"
    return _scrolled(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>")


def bar(share: float | None) -> Html:
    """Return a share as a small bar with its figure."""
    if share is None:
        return Html("-")
    return Html(f'<span class="bar"><i style="width:{100 * share:.0f}%"></i></span>{share:.3f}')


def card(figure: str, caption: str, *, kind: str = "") -> Html:
    """Return a figure with its caption. kind: a class of the style."""
    name = f"card {kind}".strip()
    return Html(f'<div class="{name}"><b>{escape(figure)}</b><span>{escape(caption)}</span></div>')


def cards(facts: Iterable[tuple[str, str]]) -> Html:
    """Return (figure, caption) pairs as a row of cards."""
    return card_row(card(figure, caption) for figure, caption in facts)


def card_row(some: Iterable[Html]) -> Html:
    """Return cards side by side."""
    return Html(f'<div class="cards">{"".join(some)}</div>')


def matrix(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Html:
    """Return counts (row: the label, column: the prediction), shaded by the share of the row."""
    head = "<th></th>" + "".join(
        f'<th title="{escape(label)}"><span>{escape(label)}</span></th>' for label in labels
    )
    body = "".join(
        f"<tr><td>{name_of(label)}</td>{_shaded(row)}</tr>"
        for label, row in zip(labels, counts, strict=True)
        if sum(row)
    )
    return _scrolled(
        f'<table class="matrix"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def chart(drawn: str, caption: str) -> Html:
    """Return a chart, SVG or HTML, with its caption."""
    return Html(
        f'<figure><div class="chart">{drawn}</div>'
        + (f"<figcaption>{escape(caption)}</figcaption>" if caption else "")
        + "</figure>"
    )


def legend(keys: Iterable[tuple[str, str, str]]) -> Html:
    """Return a legend: (name, CSS colour, kind) by key. kind: "", "open" or "dashed"."""
    items = "".join(
        f'<li{f" class={kind}" if kind else ""}><i style="--key:{colour}"></i>{escape(name)}</li>'
        for name, colour, kind in keys
    )
    return Html(f'<ul class="legend">{items}</ul>' if items else "")


def stacked(counts: Sequence[float], colours: Sequence[str], *, whole: float) -> Html:
    """Return counts as one bar of coloured pieces; a bar of `whole` is as wide as there is room."""
    pieces = "".join(
        f'<i style="width:{100 * count / whole if whole else 0:.1f}%;background:{colour}"></i>'
        for count, colour in zip(counts, colours, strict=True)
    )
    return Html(f'<span class="bar parts">{pieces}</span>')


def join(*parts: Html) -> Html:
    """Return the parts one after the other."""
    return Html("".join(parts))


def folded(summary: str, text: str) -> Html:
    """Return text or HTML that is folded under a summary."""
    shown = text if isinstance(text, Html) else f"<pre>{escape(text)}</pre>"
    return Html(f"<details><summary>{escape(summary)}</summary>{shown}</details>")


def _scrolled(table: str) -> Html:
    return Html(f'<div class="scroll" tabindex="0" role="region" aria-label="table">{table}</div>')


def _shaded(row: Sequence[int]) -> str:
    shades = [(count, count / sum(row)) for count in row]
    return "".join(
        f'<td class="cell" title="{count}" style="--share:{share:.2f}">{_percent(share)}</td>'
        for count, share in shades
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f}" if share >= 0.005 else ""


def _row(tag: str, cells: Iterable[Html], kinds: Sequence[str]) -> str:
    return "".join(
        f"<{tag}{f' class={kind}' if kind else ''}>{cell}</{tag}>"
        for cell, kind in zip(cells, kinds, strict=True)
    )


def _anchor(heading: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in heading.lower())
