"""`timbre models load`: switches a running server to another version of a model."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from common.errors import ArtefactError, NotFound, TimbreError
from common.terminal import say

DONE, REJECTED, UNKNOWN, UNREACHABLE = 0, 1, 3, 4
EXIT_CODES = (
    "exit codes: 0 success, 1 version rejected, 2 invalid arguments, 3 unknown model or version, "
    "4 server not reachable, or not allowed"
)


def main(argv: list[str]) -> int:
    """Switch a server to a version; return the exit code."""
    asked = _parser().parse_args(argv)
    from service.client import Client

    token = asked.token or os.environ.get("TIMBRE_TOKEN")
    try:
        done = asyncio.run(
            Client(asked.url, token, authorities=asked.ca).load(asked.name, asked.version)
        )
    except TimbreError as error:
        say(f"timbre models load: {error}", error=True)
        return (
            REJECTED
            if isinstance(error, ArtefactError)
            else UNKNOWN
            if isinstance(error, NotFound)
            else UNREACHABLE
        )
    say(f"{done['name']} {done['version']} is served, {done['previous']} was before")
    if not done["kept"]:
        print(
            "the pin could not be written: other gateways and the next start do not apply it",
            file=sys.stderr,
        )
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre models load", description=__doc__, epilog=EXIT_CODES
    )
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--version", metavar="VERSION", help="the latest on the server's disk by default"
    )
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the server (%(default)s)")
    parser.add_argument(
        "--token", help="API key with the scope admin; better in the environment: TIMBRE_TOKEN"
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="certificates to trust, PEM (those of the system)"
    )
    return parser
