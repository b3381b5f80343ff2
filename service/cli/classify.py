"""`timbre classify`: classifies sound and picture files, without a server."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.errors import TimbreError, Unprocessable
from common.terminal import escape, say
from service.exports import MEDIA_TYPES, OF_EVENTS, Export

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from rich.progress import Progress

    from service.cli.offline import Found, OfflineClassifier

DONE, SOME_FAILED, NO_MODEL = 0, 1, 4
MANY = 5
"""With fewer files there is no progress bar."""


def main(argv: list[str]) -> int:
    """Classify files; return the exit code, as --help lists them."""
    asked = _parser().parse_args(argv)
    try:
        failed = asyncio.run(_classify(asked))
    except TimbreError as error:
        say(f"timbre classify: {error}", error=True)
        return NO_MODEL
    return SOME_FAILED if failed else DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre classify",
        description="Classify sound files (WAV, FLAC, OGG, MP3 and others) or pictures (JPEG, PNG, "
        "WebP, GIF, BMP, TIFF, AVIF) without a server.",
        epilog="Exit codes: 0 success, 1 some files could not be read, 2 invalid arguments, "
        "4 model or option rejected.",
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="a file, or a folder of them"
    )
    parser.add_argument(
        "--model", default="instruments", metavar="NAME", help="name of the model (%(default)s)"
    )
    parser.add_argument(
        "--hop", type=float, metavar="S", help="seconds between windows (the window's own length)"
    )
    parser.add_argument(
        "--top-k", type=_positive, metavar="N", help="labels shown, best first (5 for a picture)"
    )
    parser.add_argument(
        "--with", dest="metadata", action="append", default=[], type=assignment,
        metavar="NAME=VALUE",
        help="metadata of each picture, such as region=atlantic",
    )  # fmt: skip
    parser.add_argument(
        "--partial", action="store_true",
        help="read a sound file with missing sound as far as it goes, with a warning",
    )  # fmt: skip
    parser.add_argument(
        "--artefacts",
        type=Path,
        metavar="DIR",
        help="folder of NAME/VERSION/ artefacts (the shipped)",
    )
    _add_formats(parser)
    return parser


def _add_formats(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--events", action="store_true", help="each label from onset to offset, at a hop of 0.5 s"
    )
    parser.add_argument(
        "--event-settings", type=json.loads, metavar="JSON",
        help='of --events, such as \'{"*": {"gap": 0.5}, "flute": {"threshold": 0.6}}\'',
    )  # fmt: skip
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--format", choices=MEDIA_TYPES, dest="form", metavar="FORMAT",
        help=f"{', '.join(MEDIA_TYPES)}; {', '.join(OF_EVENTS)} are of events",
    )  # fmt: skip
    for each in ("json", "csv"):
        form.add_argument(
            f"--{each}", action="store_const", const=each, dest="form", help=f"--format {each}"
        )
    parser.add_argument(
        "--sheet",
        type=Path,
        metavar="FILE",
        help="write a contact sheet of the pictures as one HTML page",
    )


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of 1 or more")
    return int(text)


def assignment(text: str) -> tuple[str, str]:
    """Return name and value of NAME=VALUE. Raises ArgumentTypeError."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} must be NAME=VALUE, such as region=atlantic")
    return name, value


async def _classify(asked: argparse.Namespace) -> int:
    """Print the results; return how many files have none."""
    from service.cli.offline import opened

    events = asked.events or asked.form in OF_EVENTS
    if asked.event_settings is not None and not events:
        raise Unprocessable("--event-settings without --events")
    async with opened(asked.model, artefacts=asked.artefacts) as local:
        classify = local.classifier(
            hop=asked.hop,
            top_k=asked.top_k,
            metadata=dict(asked.metadata),
            partial=asked.partial,
            event_settings=(asked.event_settings or {}) if events else None,
        )
        files, others = local.files(asked.paths)
        _tell(others, local.model.input.medium)
        sheet = _sheet(asked.sheet, local)
        if asked.form == "audacity" and len(files) > 1:
            raise Unprocessable("a label track of Audacity is of one file; raven is of several")
        show, failed = _printer(asked, local), 0
        with _progress(len(files)) as progress, sheet as page:
            task = progress.add_task("classify", total=len(files)) if progress else None
            async for path, found in local.results(files, classify):
                if isinstance(found, TimbreError):
                    failed += 1
                    say(f"timbre classify: {path}: {found}", error=True)
                show(path, found)
                if page:
                    await asyncio.to_thread(page, path, found)
                if progress and task is not None:
                    progress.advance(task)
    return failed


def _tell(others: list[Path], medium: str) -> None:
    """Print how many files of folders are of another kind, by their suffixes."""
    if others:
        counts = Counter(path.suffix.lower() or "no suffix" for path in others).most_common()
        kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in counts[:MANY])
        rest = f" and {len(counts) - MANY} others" if len(counts) > MANY else ""
        say(
            f"timbre classify: passed over, no {medium} by name or first bytes: {kinds}{rest}",
            error=True,
        )


def _sheet(
    target: Path | None, local: OfflineClassifier
) -> AbstractContextManager[Callable[[Path, Found], None] | None]:
    if target is None:
        return nullcontext()
    if not local.takes_pictures:
        raise Unprocessable(
            f"model {local.model.name!r} takes sound: a contact sheet shows pictures"
        )
    from service.cli.contact_sheet import writing

    return writing(target, title=f"{local.model.name} {local.model.version}")


def _printer(asked: argparse.Namespace, local: OfflineClassifier) -> Callable[[Path, Found], None]:
    """Return the function that prints a result in the chosen format."""
    if asked.form:
        highest_hz = 0.0 if local.takes_pictures else local.model.sound[0].sample_rate / 2
        export = Export(asked.form, events=asked.events, highest_hz=highest_hz)
        sys.stdout.write(export.begin())

        def write(path: Path, found: Found) -> None:
            if isinstance(found, TimbreError):
                sys.stdout.write(export.error(str(path), found))
            else:
                sys.stdout.write(export.result(str(path), found))
            sys.stdout.flush()

        return write
    from common.console import console

    out = console(highlight=False, soft_wrap=True)

    def show(path: Path, found: Found) -> None:
        for line in _lines(path, found):
            out.print(line)

    return show


def _lines(path: Path, found: Found) -> Iterator[Any]:
    """Yield a line for the file, one for each warning, event, or window of several."""
    from rich.text import Text

    if isinstance(found, TimbreError):
        return
    if "predictions" in found:
        text = Text.assemble((escape(path), "bold"), "  ")
        for rank, each in enumerate(found["predictions"]):
            text.append(f"{each['label']} ", style="default" if rank else "green")
            text.append(f"{each['score']:.2f}   ", style="bright_black")
        yield text
        return
    yield Text.assemble(
        (escape(path), "bold"), "  ", (", ".join(found["labels"]) or "no label", "green")
    )
    for each in found.get("warnings", ()):
        yield Text(f"  warning ({each['kind']}): {escape(each['detail'])}", style="yellow")
    if "events" in found:
        for event in found["events"]:
            text = Text(f"  {event['start']:8.2f} {event['end']:8.2f} s  ", style="bright_black")
            yield text.append(f"{event['label']} ", style="default").append(f"{event['peak']:.2f}")
        return
    for window in found["windows"] if len(found["windows"]) > 1 else []:
        text = Text(f"  {window['start']:8.2f} {window['end']:8.2f} s  ", style="bright_black")
        for label in window["labels"]:
            text.append(f"{label} ", style="default")
            if label in window["scores"]:
                text.append(f"{window['scores'][label]:.2f}   ", style="bright_black")
        yield text


def _progress(count: int) -> AbstractContextManager[Progress | None]:
    """Return a progress bar on stderr for many files, if stderr is a terminal."""
    if count < MANY or not sys.stderr.isatty():
        return nullcontext()
    from common.console import progress_bar

    return progress_bar(unit="{task.speed:.0f} a second")
