"""`timbre monitor`: listens to sources for months, and tells sinks what it heard."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sized
from pathlib import Path

from common.errors import InputError, TimbreError
from common.terminal import say

DONE, FAILED, USAGE = 0, 1, 2
GRACE_S = 20.0
"""Seconds after a signal until the process ends in any case."""


def main(argv: list[str]) -> int:
    """Monitor until SIGTERM or Ctrl-C, or until every source is at its end.

    Returns 0 on success, 1 if the models cannot be served, 2 for a wrong file of settings.
    """
    if argv and argv[0] == "check":
        from service.monitor.check.command import main as check

        return check(argv[1:])
    if argv and argv[0] == "report":
        from service.monitor.report.command import main as report

        return report(argv[1:])
    asked = _parser().parse_args(argv)
    from service.lifecycle import run
    from service.log import configure
    from service.monitor.config import read_config, secrets

    try:
        settings = read_config(asked.config)
    except InputError as error:
        say(f"timbre monitor: {error}", error=True)
        return USAGE
    if asked.check:
        counts = (_count(settings.sources, "source"), _count(settings.sinks, "sink"))
        say(f"{asked.config}: {', '.join(counts)}")
        return DONE
    configure(as_json=asked.json_log, debug=False, secrets=secrets(settings))

    async def work() -> int:
        from service.lifecycle import on_stop_signal
        from service.monitor.monitor import monitor

        stopped = asyncio.Event()
        on_stop_signal(stopped.set, limit_s=GRACE_S)
        await monitor(settings, stopped)
        return DONE

    try:
        return run(work())
    except TimbreError as error:
        say(f"timbre monitor: {error}", error=True)
        return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre monitor",
        usage="timbre monitor [options] CONFIG.toml | check SOURCE | report ARCHIVE",
        description="Listen to microphones, files, folders and network streams for months, and "
        "write events and coverage to files, databases and brokers.",
        epilog="docs/monitor.md describes the file. An API key for its server is read from the "
        "environment, TIMBRE_TOKEN. Exit codes: 0 ended as told, 1 the models cannot be served, "
        "2 the file is wrong.",
    )
    parser.add_argument("config", type=Path, metavar="CONFIG.toml", help="sources and sinks")
    parser.add_argument(
        "--check", action="store_true", help="check the file, and open none of what it names"
    )
    parser.add_argument(
        "--json-log", action="store_true", help="log as lines of JSON instead of text"
    )
    return parser


def _count(items: Sized, word: str) -> str:
    return f"{len(items)} {word}{'' if len(items) == 1 else 's'}"
