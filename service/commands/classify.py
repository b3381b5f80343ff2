"""`timbre classify`: what plays in sound files, in this process."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import TimbreError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.console import Console
    from rich.progress import Progress

DONE, SOME_FAILED, NO_MODEL = 0, 1, 4
MANY = 5
"""Files from which on a progress bar is worth its line."""


def main(argv: list[str]) -> int:
    """Classify files; return 0, 1 when some could not be read, 2 when not understood, 4 when the model is refused."""
    asked = _parser().parse_args(argv)
    from service.local import sound_files

    try:
        failed = asyncio.run(_classify(sound_files(asked.paths), asked))
    except TimbreError as error:
        print(f"timbre classify: {error}", file=sys.stderr)
        return NO_MODEL
    return SOME_FAILED if failed else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre classify",
        description="Tell what plays in sound files (WAV, FLAC, OGG, MP3), without a server.",
        epilog="Exit codes: 0 done, 1 some files could not be read, 2 not understood, 4 the model is refused.",
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="a sound file, or a folder of them")
    parser.add_argument("--model", default="instruments", metavar="NAME", help="who listens (%(default)s)")
    parser.add_argument("--hop", type=float, metavar="S", help="seconds between windows (the window's own length)")
    parser.add_argument("--artefacts", type=Path, metavar="DIR", help="folder of NAME/VERSION/ artefacts (the shipped)")
    parser.add_argument("--json", action="store_true", help="one line of JSON a file")
    return parser


async def _classify(files: list[Path], asked: argparse.Namespace) -> int:
    """Print the answers; return how many files have none."""
    from rich.console import Console

    from service.local import classify

    out, failed = Console(highlight=False, soft_wrap=True), 0
    with _progress(len(files)) as progress:
        task = progress.add_task("classify", total=len(files)) if progress else None
        async for path, found in classify(files, model=asked.model, hop=asked.hop, artefacts=asked.artefacts):
            if isinstance(found, TimbreError):
                failed += 1
                print(f"timbre classify: {path}: {found}", file=sys.stderr)
            elif asked.json:
                print(json.dumps({"path": str(path), **found}), flush=True)
            else:
                _print(out, path, found)
            if progress and task is not None:
                progress.advance(task)
    return failed


def _print(out: Console, path: Path, found: dict[str, Any]) -> None:
    """Print what the whole clip holds, then each window, if there is more than one."""
    from rich.text import Text

    out.print(Text.assemble((str(path), "bold"), "  ", (", ".join(found["labels"]) or "nothing known", "green")))
    for window in found["windows"] if len(found["windows"]) > 1 else []:
        text = Text(f"  {window['start']:8.2f} {window['end']:8.2f} s  ", style="bright_black")
        for label in window["labels"]:
            text.append(f"{label} ", style="default")
            text.append(f"{window['scores'][label]:.2f}   ", style="bright_black")
        out.print(text)


def _progress(count: int) -> AbstractContextManager[Progress | None]:
    """Return a bar on stderr for many files, when somebody is there to see it."""
    if count < MANY or not sys.stderr.isatty():
        return nullcontext()
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
