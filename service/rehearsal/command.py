"""`timbre rehearse`: plays kept sound through the served and a candidate version."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import InputError, TimbreError
from common.terminal import say
from models.store import DEFAULT_PATH

if TYPE_CHECKING:
    from models.store import Model
    from service.rehearsal.play import Played

DONE, FAILED = 0, 2
KINDS = ("won", "lost", "moved")


def main(argv: list[str]) -> int:
    """Write the page and the record of a rehearsal; return the exit code, as --help lists them."""
    asked = _parser().parse_args(argv)
    try:
        _rehearse(asked)
    except TimbreError as error:
        say(f"timbre rehearse: {error}", error=True)
        return FAILED
    except OSError as error:
        say(f"timbre rehearse: {error.filename}: {error.strerror}", error=True)
        return FAILED
    return DONE


def _rehearse(asked: argparse.Namespace) -> None:
    from common.atomic import atomic_file, write_atomic
    from common.strict_json import to_json
    from models.rehearsal import record
    from models.store import Store
    from service.rehearsal.clips import cut
    from service.rehearsal.page import counts, html_page, to_be_heard
    from service.rehearsal.play import check_models

    target = asked.out.with_suffix(".json")
    if target == asked.out:
        raise InputError(f"{target} is the record; --out must have another suffix")
    served = Store(asked.served).load(asked.name)
    candidate = Store(asked.source).load(asked.name, asked.version)
    check_models(served, candidate)
    played, failed = _play(asked.archive, served, candidate)
    again = ["timbre", "models", "thresholds", asked.name, candidate.version]
    again += ["--artefacts", str(asked.source), "--out", str(asked.source)]
    manifests, clips = (candidate.manifest, served.manifest), cut(to_be_heard(played))
    with atomic_file(asked.out) as draft, draft.open("w", encoding="utf-8") as page:
        parts = html_page(*manifests, played, failed, clips, command=shlex.join(again))
        page.writelines(parts)
    found, seconds = counts(played), sum(each.seconds for each in played)
    kept = record(*manifests, recordings=len(played), seconds=seconds, events=found)
    write_atomic(target, to_json(kept, indent=2) + "\n")
    won, lost, moved = (sum(row[kind] for row in found.values()) for kind in KINDS)
    plural = "" if len(played) == 1 else "s"
    say(f"{len(played)} recording{plural}: {won} events won, {lost} lost, {moved} moved")
    for each in (asked.out, target):
        say(str(each))


def _play(
    archive: Path, served: Model, candidate: Model
) -> tuple[list[Played], list[tuple[Path, TimbreError]]]:
    """Return what was played and what could not be. Raises InputError if nothing could be."""
    from common.console import progress_bar
    from service.rehearsal.play import play, recordings

    played: list[Played] = []
    failed: list[tuple[Path, TimbreError]] = []
    paths = recordings(archive, candidate)
    with progress_bar(unit="recordings") as shown:
        task = shown.add_task("", total=len(paths))
        for path, found in play(paths, archive, served, candidate):
            shown.advance(task)
            if isinstance(found, TimbreError):
                failed.append((path, found))
                say(f"timbre rehearse: {path}: {found}", error=True)
            else:
                played.append(found)
    if not played:
        raise InputError(f"no recording in {archive} can be read")
    return played, failed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="timbre rehearse",
        description="Play kept sound through the served and a candidate version, and write a page: "
        "events won, lost and moved, with their sound, and what other thresholds would have told. "
        "The record beside it, FILE.json, is what `timbre models promote --rehearsal` demands.",
        epilog="Exit codes: 0 success, 2 no such version, or nothing to play.",
    )
    option = parser.add_argument
    option("name", metavar="NAME")
    option("version", metavar="VERSION", help="of the candidate")
    option(
        "--archive", type=Path, required=True, metavar="DIR",
        help="sound files; each folder in it is a source",
    )  # fmt: skip
    option(
        "--from", dest="source", type=Path, default=Path("artefacts"), metavar="DIR",
        help="folder of the candidate (%(default)s)",
    )  # fmt: skip
    option(
        "--to", dest="served", type=Path, default=DEFAULT_PATH, metavar="DIR",
        help="folder of the served artefacts",
    )  # fmt: skip
    option("--out", type=Path, default=Path("rehearsal.html"), metavar="FILE", help="%(default)s")
    return parser
