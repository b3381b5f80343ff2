"""Progress of the stages of a long command: a bar on a terminal, a line when one is done.

For programs, `ProgressFile` writes it as JSON Lines.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from common.strict_json import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Progress = Callable[[int, int], None]
"""Called with what is done and the total."""
Stage = Callable[[str], AbstractContextManager[Progress]]
"""Opens one line of progress for a named stage."""

EVERY_S = 0.5
"""Seconds between two lines of one stage in a file."""


@contextmanager
def stage(name: str) -> Iterator[Progress]:
    """Show one stage at work: a bar on a terminal, and a line with its seconds when it is done."""
    from rich.progress import (
        BarColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bars

    from common.console import console

    began = time.monotonic()
    screen = console(stderr=True)
    rate = TextColumn("{task.fields[rate]}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        rate,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=screen, transient=True, disable=not screen.is_terminal) as bars:
        task = bars.add_task(name, total=None, rate="")

        def progress(done: int, total: int) -> None:
            """Show how far it is; a total of 0 is not known."""
            speed, of = done / (time.monotonic() - began), f" of {total:,}" if total else ""
            bars.update(
                task,
                completed=done,
                total=total or None,
                rate=f"{done:,}{of}, {speed:,.3g} a second",
            )

        yield progress
    screen.print(f"{time.monotonic() - began:7.1f} s  {name}", highlight=False)


class ProgressFile:
    """Writes progress as JSON Lines: `stage`, `done`, `total` (0: not known), `seconds`.

    A stage has a line when it begins, every EVERY_S at most, and with `ended` when it ends.
    """

    def __init__(self, path: Path, shown: Stage) -> None:
        """path: a file to append to. shown: what shows the same to a person."""
        self._path, self._shown = path, shown

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Show and write one stage. Raises OSError when nothing can be written."""
        began = written = time.monotonic()
        last = (0, 0)

        def progress(done: int, total: int) -> None:
            nonlocal last, written
            last = (done, total)
            show(done, total)
            if time.monotonic() - written >= EVERY_S:
                written = time.monotonic()
                self._write_stage(name, last, written - began)

        self._write_stage(name, last, 0.0)
        with self._shown(name) as show:
            yield progress
        self._write_stage(name, last, time.monotonic() - began, ended=True)

    def write(self, **row: Any) -> None:
        """Append one line, whole."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(to_json(row) + "\n")

    def _write_stage(
        self, name: str, last: tuple[int, int], seconds: float, *, ended: bool = False
    ) -> None:
        done, total = last
        self.write(stage=name, done=done, total=total, seconds=round(seconds, 2), ended=ended)
