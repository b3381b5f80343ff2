"""Progress of one stage of a long command: a bar on a terminal, a line when it is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Progress = Callable[[int, int], None]
"""Called with what is done and the total."""
Stage = Callable[[str], AbstractContextManager[Progress]]
"""Opens one line of progress for a named stage."""


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
