"""Renders the state of a live stream in the terminal: one lane per label."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from itertools import groupby

from rich.cells import cell_len, set_cell_size
from rich.console import Group
from rich.text import Text

from service.cli.stream_state import DisplayedWindow, StreamState, clock

EIGHTHS = " ▁▂▃▄▅▆▇█"
QUIET = "bright_black"
OFF = "#5c636d"
"""Below the threshold: readable on dark and on light."""
MARGIN = 2
CHROME = 6
"""Rows that are not lanes."""
LOST = "red"
FLOOR_DB = -60.0
LOUD_DB, TOO_LOUD_DB = -12.0, -3.0
STATES = {"live": "green", "connecting": "yellow", "reconnecting": "red", "ended": QUIET}


@dataclass(frozen=True)
class Layout:
    """Sizes, in columns and rows."""

    name: int
    bar: int
    history_columns: int
    """One per window."""
    rows: int
    """Rows of history in a lane."""
    gap: int
    """Empty rows between lanes."""
    lanes: int
    """Lanes that fit."""

    @property
    def left(self) -> int:
        """Columns before the history: dot, name, bar and score."""
        return MARGIN + 2 + self.name + 1 + self.bar + 7


def arrange(labels: list[str], *, width: int, height: int) -> Layout:
    """Fit the lanes: bars and history share the width, the history grows with the height."""
    name = min(max(map(len, labels), default=0), width // 4)
    free = max(12, width - 2 * MARGIN - name - 10)
    bar = max(6, free // 3)
    pitch = max(1, (height - CHROME) // max(1, len(labels)))
    rows = min(3, max(1, pitch - 1))
    return Layout(
        name=name,
        bar=bar,
        history_columns=max(1, free - bar),
        rows=rows,
        gap=min(1, pitch - rows),
        lanes=max(1, (height - CHROME) // (rows + min(1, pitch - rows))),
    )


def render(state: StreamState, *, width: int, height: int) -> Group:
    """Return the view of a state for a terminal of this size."""
    labels = list(state.thresholds)
    layout = arrange(labels, width=width, height=height)
    lines = [_title(state, width), _meters(state, width), Text()]
    for index, label in enumerate(labels[: layout.lanes]):
        lines += _lane(state, label, hue(index, len(labels)), layout)
        lines += [Text()] * layout.gap
    return Group(
        *lines, _axis(state, layout), _status_line(state, width, hidden=len(labels) - layout.lanes)
    )


def hue(index: int, count: int) -> str:
    """Return the colour of a lane, similar to those of its neighbours."""
    red, green, blue = colorsys.hls_to_rgb(0.08 + 0.80 * index / max(1, count), 0.60, 0.62)
    return f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"


def bar(score: float, threshold: float, columns: int, style: str) -> Text:
    """Return a bar from 0 to 1 with a mark at the threshold, in half columns."""
    halves = round(max(0.0, min(1.0, score)) * 2 * columns)
    mark = min(columns - 1, int(threshold * columns))
    fill = "━" * (halves // 2) + "╸" * (halves % 2)
    text = Text(fill, style=style)
    text.append("─" * (columns - len(fill)), style=OFF)
    over = score >= threshold
    return (
        text[:mark]
        + Text("┃" if over else "│", style=style if over else "default")
        + text[mark + 1 :]
    )


def history_rows(
    history: list[DisplayedWindow], label: str, layout: Layout, style: str
) -> list[Text]:
    """Return the history of a label from top row to bottom row, the latest window at the right."""
    shown = history[-layout.history_columns :]
    rows = [Text(" " * (layout.history_columns - len(shown))) for _ in range(layout.rows)]
    for colour, group in groupby(shown, lambda window: _colour(window, label, style)):
        heights = [
            max(1, round(window.scores.get(label, 0.0) * 8 * layout.rows)) for window in group
        ]
        for row, text in enumerate(rows):
            below = 8 * (layout.rows - 1 - row)
            blocks = "".join(EIGHTHS[max(0, min(8, height - below))] for height in heights)
            # Dropped windows must not look like silence.
            text.append("╎" * len(heights) if colour == LOST else blocks, style=colour)
    return rows


def _colour(window: DisplayedWindow, label: str, style: str) -> str:
    if not window.scores:
        return LOST
    return style if label in window.labels else OFF


def _lane(state: StreamState, label: str, colour: str, layout: Layout) -> list[Text]:
    score = state.now.scores.get(label, 0.0)
    on = label in state.now.labels
    style = colour if on else QUIET
    rows = history_rows(list(state.history), label, layout, colour)
    above = [Text(" " * layout.left) + text for text in rows[:-1]]
    bottom = Text(" " * MARGIN)
    bottom.append("● " if on else "  ", style=style)
    bottom.append(set_cell_size(label, layout.name) + " ", style=f"bold {colour}" if on else "")
    bottom += bar(score, state.thresholds[label], layout.bar, style)
    bottom.append(f" {score:.2f}  ", style=f"bold {colour}" if on else QUIET)
    return [*above, bottom + rows[-1]]


def _title(state: StreamState, width: int) -> Text:
    left = Text(" " * MARGIN)
    left.append("timbre ", style="bold")
    left.append(f" {state.source}")
    left.append(f"  {state.model} {state.version}  {state.url.partition('//')[2]}", style=QUIET)
    right = Text()
    right.append(f"● {state.state}", style=STATES[state.state])
    right.append(f"  {clock(state.captured_s)}", style="bold")
    return _ends(left, right, width)


def _meters(state: StreamState, width: int) -> Text:
    left = Text(" " * MARGIN)
    left.append("level ", style=QUIET)
    left += _level(state, columns=max(8, width // 6))
    left.append(f" {state.level_db:4.0f} dB", style="" if state.level_db > FLOOR_DB else QUIET)
    right = Text()
    age = state.ages_ms[-1] if state.ages_ms else 0.0
    numbers = [
        ("age ", f"{age:.1f} ms"),
        ("  p50 ", f"{state.age_p50_ms:.1f} ms"),
        ("  windows ", f"{state.windows}"),
        ("  dropped ", f"{state.dropped}"),
    ]
    for name, value in numbers:
        right.append(name, style=QUIET)
        right.append(value, style="bold red" if name.strip() == "dropped" and state.dropped else "")
    return _ends(left, right, width)


def _level(state: StreamState, *, columns: int) -> Text:
    text = Text()
    peak = min(columns - 1, int((state.peak_db - FLOOR_DB) / -FLOOR_DB * columns))
    for column in range(columns):
        decibels = FLOOR_DB * (1 - (column + 0.5) / columns)
        colour = "green" if decibels < LOUD_DB else "yellow" if decibels < TOO_LOUD_DB else "red"
        lit = decibels < state.level_db or column == peak
        text.append("▮" if lit else "▯", style=colour if lit else OFF)
    return text


def _axis(state: StreamState, layout: Layout) -> Text:
    """Return the time axis: how far back the history goes."""
    span = f"-{layout.history_columns * state.hop_s:.0f} s" if state.hop_s else ""
    text = Text(" " * layout.left)
    text.append(span + "now".rjust(max(0, layout.history_columns - len(span))), style=QUIET)
    return text


def _status_line(state: StreamState, width: int, *, hidden: int) -> Text:
    text = Text(" " * MARGIN)
    if hidden > 0:
        text.append(f"{hidden} more labels need a taller terminal  ", style=QUIET)
    if state.message:
        text.append(state.message, style="red" if state.state == "reconnecting" else "yellow")
    else:
        if state.open_events:
            text.append(f"events: {state.lasting()}  ")
        if state.warnings:
            text.append(f"warnings: {', '.join(state.warnings)}", style=QUIET)
    text.truncate(width - MARGIN, overflow="ellipsis")
    return text


def _ends(left: Text, right: Text, width: int) -> Text:
    """Return a line with a text at either end; the left one is truncated."""
    room = width - 2 * MARGIN - cell_len(right.plain)
    left.truncate(max(0, room + MARGIN - 1), overflow="ellipsis")
    return left + Text(" " * max(1, room + MARGIN - cell_len(left.plain))) + right
