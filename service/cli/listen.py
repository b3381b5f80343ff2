"""`timbre listen`: stream a microphone or a sound file, and watch what plays."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import TimbreError
from common.terminal import say

if TYPE_CHECKING:
    from service.cli.stream_state import StreamState
    from service.client.events import Event
    from service.sources.inputs import Source

DONE, USAGE, UNREACHABLE, REJECTED = 0, 2, 3, 4
LAST_VIEW = 20
"""Rows of the view that remain on the terminal."""
PICTURE = (100, 20)
"""Columns and rows of a saved picture."""


def main(argv: list[str]) -> int:
    """Listen to the end or to Ctrl-C.

    Returns 0 on success, 2 for invalid arguments, 3 if no server can be reached, 4 if the server
    rejects the stream or the source cannot be read.
    """
    asked = _parser().parse_args(argv)
    from service.cli.listen_session import ListenOptions, listen
    from service.client.transport import Unreachable

    if asked.token or "://" in asked.source:
        _hide_arguments()
    token = asked.token or os.environ.get("TIMBRE_TOKEN")
    options = ListenOptions(
        url=asked.url,
        token=token,
        authorities=asked.ca,
        model=asked.model,
        hop=asked.hop,
        events=asked.events,
    )
    plain = asked.json or not sys.stdout.isatty()
    try:
        state = asyncio.run(listen(_source(asked), options, report=_report if plain else None))
    except TimbreError as error:
        say(f"timbre listen: {error}", error=True)
        return UNREACHABLE if isinstance(error, Unreachable) else REJECTED
    _conclude(state, plain=plain, picture=asked.picture)
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre listen",
        description="Stream a microphone, or a sound file at real speed, and show the labels.",
        epilog="Ctrl-C ends it. Exit codes: 0 success, 2 invalid arguments, 3 server not "
        "reachable, 4 rejected, or the source cannot be read.",
    )
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="mic, device:NAME, a sound file, a FIFO, - for stdin, rtsp:// or http:// (by ffmpeg)",
    )
    parser.add_argument("--url", default="ws://127.0.0.1:8000", help="the server (%(default)s)")
    parser.add_argument(
        "--model", default="instruments", metavar="NAME", help="name of the model (%(default)s)"
    )
    parser.add_argument(
        "--hop", type=float, default=0.5, metavar="S", help="seconds between windows (%(default)s)"
    )
    parser.add_argument(
        "--token", help="API key, if the server needs one; better in the environment: TIMBRE_TOKEN"
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="certificates to trust, PEM (those of the system)"
    )
    parser.add_argument(
        "--device", help="input device, by number or part of its name (the system's default)"
    )
    parser.add_argument(
        "--json", action="store_true", help="one line of JSON per event, the default when piped"
    )
    parser.add_argument(
        "--events", action="store_true", help="tell each label from onset to offset too"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.svg", help="save the last view as a picture"
    )
    return parser


def _hide_arguments() -> None:
    """Keep the key, and the password of an address, out of what `ps` shows."""
    from setproctitle import setproctitle

    setproctitle("timbre listen")


def _report(event: Event) -> None:
    from service.client.events import as_json

    print(as_json(event), flush=True)


def _source(asked: argparse.Namespace) -> Source:
    """Return the source of the command line. Raises InputError if it cannot be opened."""
    from service.sources.inputs import open_input

    return open_input(f"device:{asked.device}" if asked.device else asked.source)


def _conclude(state: StreamState, *, plain: bool, picture: Path | None) -> None:
    """Print the last view and a summary; with JSON the summary goes to stderr."""
    from common.console import console
    from service.cli.terminal_view import render

    if not plain:
        screen = console()
        screen.print(render(state, width=screen.width, height=min(LAST_VIEW, screen.height)))
    say(state.summary(), error=plain)
    if picture:
        width, height = PICTURE
        paper = console(
            record=True,
            width=width,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
        )
        paper.print(render(state, width=width, height=height))
        paper.save_svg(str(picture), title=f"timbre listen {state.source}")
