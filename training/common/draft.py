"""Folders that are there whole or not at all, whatever becomes of the process that writes them."""

from __future__ import annotations

import fcntl
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def draft(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write into, which becomes `folder` when all went well.

    What a killed process left of its draft is taken over. Raises MaterialError when `folder` is
    there already, or another process is at work on it.
    """
    if folder.exists():
        raise MaterialError(f"{folder} is there already: remove it, or name another")
    work = folder.parent / f".{folder.name}.unfinished"
    work.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise MaterialError(f"another process is at work on {folder}") from None
        shutil.rmtree(work)
        work.mkdir()
        try:
            yield work
            work.rename(folder)
        finally:
            shutil.rmtree(work, ignore_errors=True)
            (folder.parent / f".{folder.name}.lock").unlink()
