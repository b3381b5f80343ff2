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

if TYPE_CHECKING:
    from service.cli.listen_session import Source
    from service.cli.stream_state import StreamState
    from service.client.events import Event

DONE, NOT_UNDERSTOOD, UNREACHABLE, REFUSED = 0, 2, 3, 4
LAST_VIEW = 20
"""Rows of the view that stays on the terminal."""
PICTURE = (100, 20)
"""Columns and rows of a saved picture."""


def main(argv: list[str]) -> int:
    """Listen to the end or to Ctrl-C.

    Returns 0 when heard, 2 when not understood, 3 when no server can be reached, 4 when the server
    refuses or the source cannot be read.
    """
    asked = _parser().parse_args(argv)
    from service.cli.listen_session import ListenOptions, listen
    from service.client.transport import Unreachable

    if asked.token:
        _hide_arguments()
    token = asked.token or os.environ.get("TIMBRE_TOKEN")
    wish = ListenOptions(
        url=asked.url, token=token, authorities=asked.ca, model=asked.model, hop=asked.hop
    )
    plain = asked.json or not sys.stdout.isatty()
    try:
        board = asyncio.run(listen(_source(asked), wish, tell=_tell if plain else None))
    except TimbreError as error:
        print(f"timbre listen: {error}", file=sys.stderr)
        return UNREACHABLE if isinstance(error, Unreachable) else REFUSED
    _conclude(board, plain=plain, picture=asked.picture)
    return DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre listen",
        description="Stream a microphone or a sound file, played at real speed, and watch what plays.",
        epilog="Ctrl-C ends it. Exit codes: 0 heard, 2 not understood, 3 no server reached, 4 refused or unreadable.",
    )
    parser.add_argument("source", metavar="SOURCE", help="mic, or a sound file")
    parser.add_argument("--url", default="ws://127.0.0.1:8000", help="the server (%(default)s)")
    parser.add_argument(
        "--model", default="instruments", metavar="NAME", help="who listens (%(default)s)"
    )
    parser.add_argument(
        "--hop", type=float, default=0.5, metavar="S", help="seconds between windows (%(default)s)"
    )
    parser.add_argument(
        "--token", help="API key, if the server wants one; better in the environment: TIMBRE_TOKEN"
    )
    parser.add_argument(
        "--ca", metavar="FILE", help="certificates to trust, PEM (those of the system)"
    )
    parser.add_argument(
        "--device", help="input device, by number or part of its name (the system's default)"
    )
    parser.add_argument(
        "--json", action="store_true", help="one line of JSON an event; so too when piped"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.svg", help="save the last view as a picture"
    )
    return parser


def _hide_arguments() -> None:
    """Keep the key out of what `ps` shows."""
    from setproctitle import setproctitle

    setproctitle("timbre listen")


def _tell(event: Event) -> None:
    from service.client.events import as_json

    print(as_json(event), flush=True)


def _source(asked: argparse.Namespace) -> Source:
    """Return the source asked for. Raises InputError if there is none such."""
    if asked.source == "mic":
        from service.cli.microphone import Microphone

        return Microphone(asked.device)
    from service.cli.file_source import Playback

    return Playback(Path(asked.source))


def _conclude(board: StreamState, *, plain: bool, picture: Path | None) -> None:
    """Leave the last view and one line behind; with JSON the line goes to stderr, out of the way of pipes."""
    from rich.console import Console

    from service.cli.terminal_view import render

    if not plain:
        console = Console()
        console.print(render(board, width=console.width, height=min(LAST_VIEW, console.height)))
    print(board.summary(), file=sys.stderr if plain else sys.stdout)
    if picture:
        width, height = PICTURE
        paper = Console(
            record=True,
            width=width,
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
        )
        paper.print(render(board, width=width, height=height))
        paper.save_svg(str(picture), title=f"timbre listen {board.source}")
