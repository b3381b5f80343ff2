"""The files of a folder that somebody put there: links followed, hidden files passed over.

So are notes on a file, NAME.json beside it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

NOTE = ".json"
SPECIAL = "a pipe, socket or device, not a file"
"""Why what `is_special` finds is not read."""
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
"""Errors of a folder that is not there."""
_OF_SYSTEMS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir"}


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is hidden, or is one that a system puts beside the others."""
    return name.startswith(".") or name.casefold() in _OF_SYSTEMS


def is_special(path: str | Path) -> bool:
    """Return whether a path is a pipe, socket or device, which may never end."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 path objects take seconds
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def read_regular(path: Path) -> bytes:
    """Return the content of a file. Raises OSError, also for what is special."""
    if is_special(path):
        raise OSError(errno.EINVAL, SPECIAL, str(path))
    return path.read_bytes()


def entries(folder: str) -> list[str]:
    """Return the names in a folder; none where there is no folder. Raises OSError."""
    try:
        # A server does this every second; pathlib takes three times as long.
        return os.listdir(folder)  # noqa: PTH208
    except OSError as error:
        if error.errno in ABSENT:
            return []
        raise


def status(folder: str) -> os.stat_result | None:
    """Return the status of a folder; None where there is none. Raises OSError."""
    try:
        # As above.
        return os.stat(folder)  # noqa: PTH116
    except OSError as error:
        if error.errno in ABSENT:
            return None
        raise


def without_notes(names: Iterable[str]) -> list[str]:
    """Return the names of one folder without NAME.json beside NAME.wav and the like."""
    listed = list(names)
    noted = {os.path.splitext(name)[0] for name in listed if not name.endswith(NOTE)}  # noqa: PTH122
    return [
        name for name in listed if not (name.endswith(NOTE) and name.removesuffix(NOTE) in noted)
    ]


def files_below(root: Path) -> Iterator[str]:
    """Yield the paths of the files below a folder, relative, with forward slashes, in order.

    Linked folders are followed, each folder once.
    """
    seen: set[str] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        again = real in seen
        seen.add(real)
        folders[:] = [] if again else sorted(name for name in folders if not is_hidden(name))
        below = Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        shown = () if again else without_notes(name for name in names if not is_hidden(name))
        yield from (prefix + name for name in sorted(shown))
