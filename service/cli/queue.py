"""`timbre queue`: the jobs, workers and dead letters in Redis."""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from common.errors import TimbreError
from common.strict_json import to_json
from common.terminal import say

EXIT_CODES = (
    "exit codes: 0 success, 1 dead letters (dead) or no worker (status), 2 invalid arguments, "
    "3 Redis not reachable"
)
OK, FOUND_PROBLEM, USAGE, UNREACHABLE = 0, 1, 2, 3


def main(argv: list[str]) -> int:
    """Run `timbre queue`; return the exit code."""
    args = _parser().parse_args(argv)
    from service.queue import status
    from service.queue.redis_connection import REDIS_ERRORS, redacted
    from service.settings import redis_address

    try:
        address = redis_address(args.redis)
        found: Any = asyncio.run(getattr(status, args.what)(address))
    except TimbreError as error:
        say(f"timbre queue: {error}", error=True)
        return USAGE
    except REDIS_ERRORS as error:
        say(f"timbre queue: {redacted(address)}: {error}", error=True)
        return UNREACHABLE
    if args.json:
        print(to_json(found))
    elif args.what == "clear":
        print(f"{found} dead letters deleted")
    elif args.what == "status":
        _show_status(found)
    else:
        _show_dead(found)
    problem = not found["workers"] if args.what == "status" else found and args.what == "dead"
    return FOUND_PROBLEM if problem else OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="timbre queue", description=__doc__, epilog=EXIT_CODES)
    parser.add_argument(
        "what",
        choices=("status", "dead", "clear"),
        help="pending jobs and workers; dead letters; delete dead letters",
    )
    parser.add_argument(
        "--redis", metavar="URL", help="as in BEHAVIOUR.md; better in the environment: TIMBRE_REDIS"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _show_status(found: dict[str, Any]) -> None:
    for kind, jobs in found["jobs"].items():
        say(
            f"{kind:8} {jobs['waiting']} pending, {jobs['held']} claimed by workers, "
            f"oldest {jobs['oldest_s']:.1f} s"
        )
    for worker in found["workers"]:
        seen = "lost" if worker["seen_s"] is None else f"seen {worker['seen_s']:.1f} s ago"
        say(f"worker   {worker['name']}: {seen}, {worker['held']} jobs claimed")
    if not found["workers"]:
        print("worker   none")
    print(f"dead     {found['dead']}")


def _show_dead(found: list[dict[str, Any]]) -> None:
    for letter in found:
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter["at"]))
        say(
            f"{at}  {letter['job']}  {letter['model']}:{letter['version']} {letter['shape']}  "
            f"{letter['why']}"
        )
    if not found:
        print("no dead letters")
