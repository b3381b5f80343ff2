"""The consoles of rich that Timbre prints with: colours are its own, never those of the text."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.segment import Segment

from common.terminal import EscapingStream, escape_lines


class EscapingConsole(Console):
    """A console that escapes the control characters of what it shows."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Yield the parts of what is shown; those by which rich moves the cursor stay."""
        for part in super().render(renderable, options):
            yield part if part.control else Segment(escape_lines(part.text), part.style)


def console(*, stderr: bool = False, **options: Any) -> EscapingConsole:
    """Return a console on stdout or stderr. options: of rich's Console."""
    stream = sys.stderr if stderr else sys.stdout
    raw = stream.raw if isinstance(stream, EscapingStream) else stream
    return EscapingConsole(stderr=stderr, **{"file": raw, **options})


def progress_bar(*, unit: str) -> Progress:
    """Return a progress bar on stderr, if that is a terminal: how many are done, the time left.

    unit: what stands between, such as a format of rich's `task.speed`.
    """
    columns = BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn()
    shown = console(stderr=True)
    return Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal)
