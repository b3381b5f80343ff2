"""`timbre monitor report`: draws what an archive holds, and writes detections by day."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from common.errors import TimbreError
from common.terminal import say

DONE, FAILED = 0, 2


def main(argv: list[str]) -> int:
    """Write the report; return the exit code, as --help lists them."""
    asked = _parser().parse_args(argv)
    from common.atomic import write_atomic
    from service.monitor.report.archive import read_archives
    from service.monitor.report.days import days_csv
    from service.monitor.report.page import html_page

    try:
        archive = read_archives(
            asked.archives, zone=asked.timezone, first=asked.first, last=asked.last
        )
    except TimbreError as error:
        say(f"timbre monitor report: {error}", error=True)
        return FAILED
    csv = days_csv(archive, asked.labels)
    targets = {asked.out: html_page(archive, csv)} | ({asked.csv: csv} if asked.csv else {})
    for path, text in targets.items():
        try:
            write_atomic(path, text)
        except OSError as error:
            say(f"timbre monitor report: {path} cannot be written: {error.strerror}", error=True)
            return FAILED
        say(str(path))
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre monitor report",
        description="Draw what archives of `timbre monitor` hold as a page: events over days, the "
        "coverage under them, the hours of the day; and detections by label and day as CSV.",
        epilog="Exit codes: 0 success, 2 no archive, or nothing in it.",
    )
    option = parser.add_argument
    option("archives", nargs="+", type=Path, metavar="ARCHIVE", help="database of a sqlite sink")
    option("--out", type=Path, default=Path("report.html"), metavar="FILE", help="%(default)s")
    option("--csv", type=Path, metavar="FILE", help="also write detections by label and day")
    option(
        "--timezone", type=_zone, default=ZoneInfo("UTC"), metavar="NAME", help="Europe/Paris (UTC)"
    )
    option("--from", dest="first", type=_day, metavar="DAY", help="2026-05-31 (the first there is)")
    option("--to", dest="last", type=_day, metavar="DAY", help="the last day, included")
    option(
        "--label", dest="labels", action="append", default=[], metavar="NAME",
        help="a label that belongs into the CSV also where no source heard it",
    )  # fmt: skip
    return parser


def _zone(text: str) -> ZoneInfo:
    try:
        return ZoneInfo(text)
    except (KeyError, ValueError, OSError) as error:
        message = f"{text!r} is no time zone, such as Europe/Paris"
        raise argparse.ArgumentTypeError(message) from error


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no day, such as 2026-05-31") from error
