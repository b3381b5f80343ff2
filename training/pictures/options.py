"""What the commands for pictures share: options, and how they end."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, get_args

from features.config import Fit, PictureConfig, Resample
from features.errors import TimbreError
from training.material import MaterialError
from training.pictures.folders import Layout

if TYPE_CHECKING:
    from collections.abc import Callable


def within(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return what reads a whole number of at least `low` and at most `high` for argparse."""

    def read(text: str) -> int:
        bounds = f"of {low} or more" if high is None else f"from {low} to {high}"
        number = int(text) if text.removeprefix("-").isdecimal() else low - 1
        if number < low or (high is not None and number > high):
            raise argparse.ArgumentTypeError(f"{text!r} must be a whole number {bounds}")
        return number

    return read


def told(name: str, work: Callable[[], None]) -> int:
    """Do the work of `timbre data NAME` and return the exit code: 0 done, 1 refused and told why, 130 interrupted."""
    try:
        work()
    except TimbreError as error:
        print(f"timbre data {name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"timbre data {name}: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        print(f"timbre data {name}: {error}; it needs more: pip install 'timbre[train]'", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def add_layout(parser: argparse.ArgumentParser) -> None:
    """Add what the folders below the root mean."""
    parser.add_argument(
        "--layout",
        default="label",
        help="what the folders mean, from the root: label, source, _ for nothing, or the name of metadata; "
        "such as source/label (default: %(default)s)",
    )
    parser.add_argument(
        "--source",
        default="",
        metavar="REGEX",
        help="what its first group finds in a path is the source, such as '(IMG_\\d+)'",
    )


def layout_of(options: argparse.Namespace) -> Layout:
    """Return the layout that the options ask for."""
    return Layout.parse(options.layout, options.source)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add how a picture becomes an array."""
    parser.add_argument(
        "--size", default="224", metavar="N", help="side in pixels, or HEIGHTxWIDTH (default: %(default)s)"
    )
    parser.add_argument("--fit", default="crop", choices=get_args(Fit), help="default: %(default)s")
    parser.add_argument("--resample", default="bilinear", choices=get_args(Resample), help="default: %(default)s")


def config_of(options: argparse.Namespace) -> PictureConfig:
    """Return the configuration that the options ask for. Raises MaterialError or Unprocessable."""
    height, by, width = options.size.partition("x")
    if not (height.isdecimal() and (width.isdecimal() if by else not width)):
        raise MaterialError(f"size {options.size!r}: give pixels, such as 64 or 48x96")
    return PictureConfig(height=int(height), width=int(width or height), fit=options.fit, resample=options.resample)
