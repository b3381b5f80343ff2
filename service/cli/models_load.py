"""`timbre models load`: have a running server serve another version of a model, a newer or an older one."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from common.errors import ArtefactError, NotFound, TimbreError

DONE, REFUSED, UNKNOWN, OUT_OF_REACH = 0, 1, 3, 4
EXIT_CODES = (
    "exit codes: 0 served, 1 the version is refused, 2 wrong usage, 3 no such model or version, "
    "4 no server reached, or not allowed"
)


def main(argv: list[str]) -> int:
    """Ask a server to serve a version; return the exit code."""
    asked = _parser().parse_args(argv)
    from service.client import Client

    token = asked.token or os.environ.get("TIMBRE_TOKEN")
    try:
        done = asyncio.run(
            Client(asked.url, token, authorities=asked.ca).load(asked.name, asked.version)
        )
    except TimbreError as error:
        print(f"timbre models load: {error}", file=sys.stderr)
        return (
            REFUSED
            if isinstance(error, ArtefactError)
            else UNKNOWN
            if isinstance(error, NotFound)
            else OUT_OF_REACH
        )
    print(f"{done['name']} {done['version']} is served, {done['previous']} was before")
    if not done["kept"]:
        print(
            "the choice could not be written: other gateways and the next start do not know it",
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
