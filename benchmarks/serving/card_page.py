"""The card of a machine as a page and as a PNG picture, from the same figures."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from common.page import card, card_row, document, escape, paragraph

TITLE = "What this machine carries"
STYLE = Path(__file__).with_name("card_page.css")
SIZE = (1_200, 630)
MARGIN, GAP = 60, 24
BUSY = 0.3
"""Share of the cores at work before, from which on the figures are too low."""
PAPER, RAISED, INK, MUTED, LINE, ACCENT = (
    "#12151a", "#1a1f26", "#e8ebef", "#99a3b1", "#2c343e", "#84adff",
)  # fmt: skip


def figures(report: dict[str, Any]) -> list[tuple[str, str]]:
    """Return (figure, caption) of each measurement, the most important first."""
    p99 = "" if report["p99_ms"] is None else f", here {report['p99_ms']:.0f} ms"
    found = [
        (
            f"{report['streams']:,}",
            f"live streams, p99 age up to {report['limit_ms']:g} ms{p99}, nothing dropped",
        ),
        (f"{report['clips_per_s']:,.0f}", "clips of 2 s a second"),
    ]
    if report["pictures_per_s"] is not None:
        found.append(
            (f"{report['pictures_per_s']:,.0f}", f"pictures a second, {report['picture_model']}")
        )
    if report["mib"] is not None:
        found.append((f"{report['mib']:,} MiB", "of memory, the whole server"))
    return found


def notes(report: dict[str, Any]) -> list[str]:
    """Return what the figures are worth nothing without, a line each."""
    machine = report["machine"]
    versions = " · ".join(f"{name} {version}" for name, version in report["versions"].items())
    busy = machine["load"] > BUSY * machine["cores"]
    model = f"model {report['model']} {report['version']} on {report['provider']}"
    return [
        f"{machine['processor']} · {machine['cores']} cores, load {machine['load']} before"
        + (": other work ran, it carries more than this" if busy else ""),
        f"{model} · hop {report['hop']:g} s · load and server on the same machine",
        f"{versions} · Python {machine['python']} · commit {machine['commit']}",
    ]


def page(report: dict[str, Any]) -> bytes:
    """Return the card as a page, in UTF-8."""
    (first, caption), *others = figures(report)
    body = (
        f'<section class="poster"><p class="brand">Timbre</p><h1>{escape(TITLE)}</h1>'
        f'<div class="first"><b>{escape(first)}</b><span>{escape(caption)}</span></div>'
        f"{card_row(card(*each) for each in others)}"
        f"{''.join(paragraph(line, note=True) for line in notes(report))}"
        f'<p class="foot">measured on {escape(report["date"])} in {report["seconds"]} s by '
        "<code>timbre bench capacity --card</code></p></section>"
    )
    return document(TITLE, body, style=STYLE.read_text(encoding="utf-8")).encode()


def picture(report: dict[str, Any]) -> bytes:
    """Return the card as a PNG file."""
    image = Image.new("RGB", SIZE, PAPER)
    draw = ImageDraw.Draw(image)
    width, height = SIZE
    draw.rectangle((0, 0, 12, height), fill=ACCENT)
    draw.text((MARGIN, 44), "Timbre", fill=ACCENT, font=_font(26))
    draw.text((MARGIN, 78), TITLE, fill=INK, font=_font(40))
    (first, caption), *others = figures(report)
    draw.text((MARGIN, 150), first, fill=ACCENT, font=_font(112))
    draw.text((MARGIN, 282), caption, fill=MUTED, font=_font(24))
    across = (width - 2 * MARGIN - GAP * (len(others) - 1)) // max(1, len(others))
    for at, (figure, below) in enumerate(others):
        left = MARGIN + at * (across + GAP)
        draw.rounded_rectangle((left, 340, left + across, 460), 14, fill=RAISED, outline=LINE)
        draw.text((left + 22, 356), figure, fill=INK, font=_font(44))
        draw.text((left + 22, 418), _cut(below, across - 44, 20), fill=MUTED, font=_font(20))
    for at, line in enumerate(notes(report)):
        draw.text((MARGIN, 492 + 28 * at), _cut(line, width - 2 * MARGIN, 19), fill=MUTED,
                  font=_font(19))  # fmt: skip
    foot = f"{report['date']} · timbre bench capacity --card"
    draw.text((MARGIN, 586), foot, fill=MUTED, font=_font(17))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _font(size: int) -> Any:
    return ImageFont.load_default(size)


def _cut(text: str, width: int, size: int) -> str:
    """Return as much of a text as fits."""
    font = _font(size)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."


WRITERS: dict[str, Callable[[dict[str, Any]], bytes]] = {".png": picture, ".html": page}
"""By the suffix of the file."""
