"""What the commands of training share: exit codes and argparse types."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from common.atomic import DISK_FULL
from common.errors import TimbreError
from common.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable


def run_command(name: str, work: Callable[[], int | None], *, full: str = "") -> int:
    """Run `timbre NAME` and return its exit code; an error is printed as one line.

    Exit codes: what `work` returns, 0 for None, 1 for an error, 130 when interrupted. full: the
    advice for a full disk.
    """
    try:
        return work() or 0
    except TimbreError as error:
        why = str(error)
    except BrokenPipeError:
        # The reader of our output has closed it; the program's own end handles that.
        raise
    except OSError as error:
        named = [str(part) for part in (error.filename, error.strerror) if part]
        why = ": ".join(named) or str(error)
        if error.errno in DISK_FULL:
            why += f"; {full or 'make room, or name another place: complete files are kept'}"
    except ModuleNotFoundError as error:
        why = f"{error}; install what is missing: pip install 'timbre[train]'"
    except KeyboardInterrupt:
        return 130
    say(f"timbre {name}: {why}", error=True)
    return 1


def bounded_int(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return an argparse type: a whole number of at least `low` and at most `high`."""

    def parse(text: str) -> int:
        bounds = f"of {low} or more" if high is None else f"from {low} to {high}"
        number = int(text) if text.removeprefix("-").isdecimal() else low - 1
        if number < low or (high is not None and number > high):
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number {bounds}")
        return number

    return parse


def bounded_float(low: float, high: float) -> Callable[[str], float]:
    """Return an argparse type: a number from `low` to `high`."""

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = low - 1
        # Written so that NaN fails it too.
        if not low <= number <= high:
            raise argparse.ArgumentTypeError(f"{text!r} must be a number from {low:g} to {high:g}")
        return number

    return parse
