"""`timbre data similar`: the sounds of a folder that are most like a file, to see and to hear."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common.atomic import write_atomic
from common.errors import NotFound
from common.strict_json import to_json
from features.file_kinds import is_sound
from training.common.cli_helpers import bounded_float, bounded_int
from training.common.progress import stage
from training.data_cli.embedded import Describer, describer, directions, embed, scale_of, silent
from training.data_cli.heard_page import Heard, heard_page
from training.recordings import audio
from training.recordings.collection import Clip, CollectionError, Problem
from training.recordings.settings import LENGTHS, WindowSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.common.progress import Stage

LISTED = 5
"""Files that cannot be used which are named."""


class Similar(NamedTuple):
    """The window of a sound that is most like one of the file."""

    sound: Clip
    second: float
    """Where it begins in the sound."""
    second_of_file: float
    similarity: float
    """Cosine, from -1 to 1."""


def main(argv: list[str]) -> int:
    """Run `timbre data similar`."""
    args = _parser().parse_args(argv)
    describe = describer(args.backbone, length=args.window)
    spec = WindowSpec(length=args.window, hop=args.window / 2)
    file = _file(args.file)
    clips, problems = sounds_of(args.folder, without=file.path)
    found, unread = most_similar(file, clips, spec, describe, cache=args.cache, stage=stage)
    compared, found, problems = len(found), found[: args.top], [*problems, *unread]
    page = args.page or (None if args.json else Path("similar.html"))
    if page:
        text = _page(file, found, args.folder, describe, args.window, compared=compared)
        write_atomic(page, text.encode())
    if args.json:
        print(to_json(_as_json(file, found, args.folder, describe, problems), indent=1))
        return 0
    _print(found, args.folder, describe)
    for problem in problems[:LISTED]:
        print(f"{problem.path}: {problem.why}")
    if problems:
        print(f"{len(problems):,} files cannot be used")
    print(page)
    return 0


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="timbre data similar", description=__doc__)
    options.add_argument("file", metavar="FILE", type=Path, help="a sound")
    options.add_argument("folder", metavar="FOLDER", type=Path, help="a folder of sounds")
    options.add_argument(
        "--backbone",
        metavar="FILE.onnx",
        default="",
        help="a network from samples to an embedding; without one, Timbre's own features",
    )
    options.add_argument(
        "--top", type=bounded_int(1, 1000), default=10, help="sounds (default: %(default)s)"
    )
    options.add_argument(
        "--window",
        type=bounded_float(*LENGTHS),
        default=2.0,
        metavar="SECONDS",
        help="what is compared (default: %(default)s)",
    )
    options.add_argument(
        "--page",
        type=Path,
        metavar="HTML",
        help="page with the sounds (default: similar.html; none with --json)",
    )
    options.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options.add_argument("--cache", metavar="DIR", default="", help="default: ~/.cache/timbre")
    return options


def _file(path: Path) -> Clip:
    if not path.is_file():
        raise NotFound(f"no file {path}")
    try:
        return Clip(path, 0.0, audio.seconds_of(path), (), path.name)
    except CollectionError as error:
        raise CollectionError(f"{path}: {error}") from error


def sounds_of(folder: Path, *, without: Path) -> tuple[list[Clip], list[Problem]]:
    """Return the sounds below a folder but one, and what cannot be used.

    Raises CollectionError where there are none.
    """
    if not folder.is_dir():
        raise NotFound(f"no folder {folder}")
    clips, problems = [], []
    for path in filter(is_sound, audio.below(folder)[0]):
        if path.samefile(without):
            continue
        name = path.relative_to(folder).as_posix()
        try:
            clips.append(Clip(path, 0.0, audio.seconds_of(path), (), name))
        except CollectionError as error:
            problems.append(Problem(path, str(error)))
    if not clips:
        raise CollectionError(f"{folder} holds no other sound that can be read", problems)
    return clips, problems


def most_similar(
    file: Clip,
    clips: Sequence[Clip],
    spec: WindowSpec,
    describe: Describer,
    *,
    cache: str = "",
    stage: Stage,
) -> tuple[list[Similar], list[Problem]]:
    """Return each sound's window that is most like one of the file, the most similar first.

    And the sounds that cannot be compared: unreadable ones, and those in which nothing sounds.
    """
    with stage(f"describe {len(clips) + 1:,} sounds") as progress:
        try:
            asked, _ = embed([file], spec, describe, cache=cache)
        except CollectionError as error:
            raise CollectionError(f"{file.path}: {error}") from error
        windows, problems = embed(clips, spec, describe, cache=cache, progress=progress)
    quiet = silent(clips, windows, problems)
    problems += [Problem(clip.path, "nothing sounds in it") for clip in quiet]
    like = scale_of(windows.rows, describe)
    ours = directions(asked.rows, describe, like=like)
    cosines = directions(windows.rows, describe, like=like) @ ours.T
    best = cosines.max(axis=1)
    found = []
    for number in np.unique(windows.clip):
        here = np.flatnonzero(windows.clip == number)
        at = here[best[here].argmax()]
        mine = asked.start[cosines[at].argmax()]
        found.append(Similar(clips[number], float(windows.start[at]), float(mine), float(best[at])))
    return sorted(found, key=lambda one: (-one.similarity, one.sound.source)), problems


def _print(found: Sequence[Similar], folder: Path, describe: Describer) -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from common.console import console

    table = Table("sound", box=box.SIMPLE, pad_edge=False)
    for column in ("at", "like the file at", "similarity"):
        table.add_column(column, justify="right")
    for one in found:
        seconds = (f"{second:.1f} s" for second in (one.second, one.second_of_file))
        table.add_row(escape(one.sound.source), *seconds, f"{one.similarity:.3f}")
    console().print(table)
    print(f"cosine of {describe.name}; {folder}")


def _as_json(
    file: Clip,
    found: Sequence[Similar],
    folder: Path,
    describe: Describer,
    problems: Sequence[Problem],
) -> dict[str, Any]:
    return {
        "file": str(file.path),
        "folder": str(folder),
        "by": describe.name,
        "similar": [
            {
                "sound": one.sound.source,
                "second": one.second,
                "second_of_file": one.second_of_file,
                "similarity": round(one.similarity, 4),
            }
            for one in found
        ],
        "unusable": [{"path": str(one.path), "problem": one.why} for one in problems],
    }


def _page(
    file: Clip,
    found: Sequence[Similar],
    folder: Path,
    describe: Describer,
    length: float,
    *,
    compared: int,
) -> str:
    first = Heard(file, found[0].second_of_file if found else 0.0, {"file": file.path.name})
    rest = [
        Heard(
            one.sound,
            one.second,
            {
                "sound": one.sound.source,
                "at": f"{one.second:.1f} s, like {one.second_of_file:.1f} s of the file",
                "similarity": f"{one.similarity:.3f}",
            },
        )
        for one in found
    ]
    about = (
        f"The {len(rest)} of {compared:,} sounds in {folder.name} with the window most like one "
        f"of the file, by the cosine of {describe.name}."
    )
    groups = [("The file", [first]), ("Most similar", rest)]
    return heard_page(f"Like {file.path.name}", about, groups, length=length)
