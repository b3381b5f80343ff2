"""`timbre monitor check`: listens to one source, and says what is wrong with its sound."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from common.errors import TimbreError
from common.terminal import say

FINE, WRONG, FAILED = 0, 1, 2
SECONDS = (2.0, 600.0)


def main(argv: list[str]) -> int:
    """Check a source; return the exit code, as --help lists them."""
    asked = _parser().parse_args(argv)
    if "://" in asked.source:
        from setproctitle import setproctitle

        # An address may hold a password, which `ps` would show.
        setproctitle("timbre monitor check")
    from common.atomic import write_atomic
    from service.monitor.check.findings import findings
    from service.monitor.check.listen import listen
    from service.monitor.check.page import html_page, text_lines

    try:
        name, measured = asyncio.run(listen(asked.source, seconds=asked.seconds))
        found = findings(measured)
        if asked.out:
            write_atomic(asked.out, html_page(name, measured, found))
    except TimbreError as error:
        say(f"timbre monitor check: {error}", error=True)
        return FAILED
    except OSError as error:
        say(f"timbre monitor check: {asked.out} cannot be written: {error.strerror}", error=True)
        return FAILED
    for line in text_lines(name, measured, found):
        say(line)
    return WRONG if found else FINE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre monitor check",
        description="Listen to a source, and say what is wrong with its sound and what to do.",
        epilog="Exit codes: 0 nothing is wrong, 1 something is, 2 it could not be heard.",
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="mic, device:NAME, stdin, file:PATH, rtsp:// or http://"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=60.0, metavar="S", help="to listen (%(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write an HTML page with the spectrum"
    )
    return parser


def _seconds(text: str) -> float:
    low, high = SECONDS
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} must be {low:g} to {high:g} seconds")
    return value
