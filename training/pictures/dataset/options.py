"""Options that the commands for pictures share."""

from __future__ import annotations

import argparse
from typing import get_args

from features.config import Fit, PictureConfig, Resample
from training.common.cli_helpers import bounded_int
from training.common.errors import MaterialError
from training.pictures.dataset import near_duplicates
from training.pictures.dataset.folders import Layout

FOLDER_HELP = "holds LABEL/picture.jpg; or a zip of it"


def add_layout(parser: argparse.ArgumentParser) -> None:
    """Add the options of the layout of folders."""
    parser.add_argument(
        "--layout",
        default="label",
        help="meaning of the folders from the root: label, source, _ for none, or the name of "
        "metadata; such as source/label (default: %(default)s)",
    )
    parser.add_argument(
        "--source",
        default="",
        metavar="REGEX",
        help="its first group in a path is the source, such as '(IMG_\\d+)'",
    )


def add_distance(parser: argparse.ArgumentParser) -> None:
    """Add the distance of near-duplicates."""
    parser.add_argument(
        "--distance",
        type=bounded_int(0, near_duplicates.MAX_DISTANCE),
        default=near_duplicates.DISTANCE,
        metavar="BITS",
        help="maximum Hamming distance of near-duplicates' 64-bit hashes (default: %(default)s)",
    )


def layout_of(options: argparse.Namespace) -> Layout:
    """Return the layout of the options."""
    return Layout.parse(options.layout, options.source)


def add_config(parser: argparse.ArgumentParser) -> None:
    """Add the options of decoding."""
    parser.add_argument(
        "--size",
        default="224",
        metavar="N",
        help="side in pixels, or HEIGHTxWIDTH (default: %(default)s)",
    )
    parser.add_argument("--fit", default="crop", choices=get_args(Fit), help="default: %(default)s")
    parser.add_argument(
        "--resample", default="bilinear", choices=get_args(Resample), help="default: %(default)s"
    )


def config_of(options: argparse.Namespace) -> PictureConfig:
    """Return the picture configuration. Raises MaterialError or Unprocessable."""
    height, by, width = options.size.partition("x")
    if not (height.isdecimal() and (width.isdecimal() if by else not width)):
        raise MaterialError(f"size {options.size!r}: give pixels, such as 64 or 48x96")
    return PictureConfig(
        height=int(height), width=int(width or height), fit=options.fit, resample=options.resample
    )
