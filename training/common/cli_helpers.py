"""What the commands of training share: how they end, numbers among their options, files that are whole or not there."""

from __future__ import annotations

import argparse
import errno
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from common.errors import TimbreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Numbers of errors that mean that there is no room left."""


def told(name: str, work: Callable[[], int | None], *, full: str = "") -> int:
    """Do the work of `timbre NAME` and return the exit code: its own, 0 done, 1 refused and told why, 130 interrupted.

    full: what to do when there is no room left.
    """
    try:
        return work() or 0
    except TimbreError as error:
        why = str(error)
    except BrokenPipeError:
        # Whoever read us has seen enough; the program's own end knows what to do.
        raise
    except OSError as error:
        named = [str(part) for part in (error.filename, error.strerror) if part]
        why = ": ".join(named) or str(error)
        if error.errno in FULL:
            why += f"; {full or 'make room, or name another place: what is there is whole'}"
    except ModuleNotFoundError as error:
        why = f"{error}; it needs more: pip install 'timbre[train]'"
    except KeyboardInterrupt:
        return 130
    print(f"timbre {name}: {why}", file=sys.stderr)
    return 1


def within(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number of at least `low` and at most `high` for argparse."""

    def read(text: str) -> int:
        bounds = f"of {low} or more" if high is None else f"from {low} to {high}"
        number = int(text) if text.removeprefix("-").isdecimal() else low - 1
        if number < low or (high is not None and number > high):
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number {bounds}")
        return number

    return read


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a place to write to that becomes `path` when all went well, and vanishes otherwise."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        yield draft
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)
