"""`timbre data check`: reads every recording, counts labels and sources, lists problems.

With --doubts also labels that similar sounds of other sources do not have.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from common.atomic import write_atomic
from training.common.labels import RATE
from training.common.progress import stage
from training.data_cli.main import parser
from training.recordings import audio
from training.recordings.collection import Collection, CollectionError, Problem
from training.recordings.load import load
from training.recordings.problems import SHOWN, problems_kept, write_problems
from training.recordings.recipe_of import recipe_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence
    from pathlib import Path

    from training.common.progress import Progress
    from training.data_cli.doubts import Doubts
    from training.data_cli.embedded import Describer
    from training.recordings.settings import SoundsRecipe


def _parsed(argv: list[str]) -> Namespace:
    from pathlib import Path

    options = parser("check", __doc__ or "")
    options.add_argument(
        "--problems", type=Path, default=Path("problems.csv"), help="written if there are any"
    )
    options.add_argument(
        "--doubts",
        type=Path,
        metavar="HTML",
        nargs="?",
        const=Path("doubts.html"),
        help="labels that the most similar sounds of other sources do not have: a page to hear "
        "them (default: doubts.html) and a .csv file beside it",
    )
    options.add_argument(
        "--backbone",
        metavar="FILE.onnx",
        default="",
        help="what sounds similar to --doubts: a network from samples to an embedding; without "
        "one, Timbre's own features",
    )
    args = options.parse_args(argv)
    if args.doubts and args.doubts.suffix == ".csv":
        options.error("--doubts names the page; the .csv file is beside it")
    if args.backbone and not args.doubts:
        options.error("--backbone says what sounds similar to --doubts: give both")
    return args


def main(argv: list[str]) -> int:
    """Run `timbre data check`; 1 when there are problems."""
    args = _parsed(argv)
    recipe = recipe_of(args.spec, args.set)
    if args.doubts:
        from training.data_cli.embedded import describer

        describe = describer(args.backbone, length=recipe.windows.length)
    with problems_kept(args.problems), stage("list the collection") as progress:
        collection = load(recipe.collection, progress)
    with stage("read every recording") as progress:
        unread = unreadable(collection, jobs=recipe.jobs, progress=progress)
    print_collection(collection)
    problems = [*collection.problems, *unread]
    try:
        if args.doubts:
            problems += _doubts(recipe, _without(collection, unread), describe, args.doubts)
    finally:
        code = write_problems(problems, args.problems)
    return code


def _doubts(
    recipe: SoundsRecipe, collection: Collection, describe: Describer, page: Path
) -> list[Problem]:
    """Print labels in doubt, write them as a page and a CSV file; return what is not described."""
    from training.data_cli.doubts import ONE_SOURCE, find_doubts
    from training.data_cli.embedded import directions, embed, recording_of, scale_of, silent

    if not collection.clips:
        return []
    if len(collection.sources) < 2:
        raise CollectionError(ONE_SOURCE)
    with stage("describe every recording") as progress:
        windows, problems = embed(
            collection.clips, recipe.windows, describe, cache=recipe.cache, progress=progress
        )
    with stage("compare them"):
        like = scale_of(windows.rows, describe)
        rows = directions(windows.rows, describe, like=like)
        doubts = find_doubts(collection, windows, rows, recipe.windows)
    quiet = [
        f"{recording_of(clip)} from {clip.start:g} to {clip.end:g} s"
        for clip in silent(collection.clips, windows, problems)
    ]
    if doubts.judged:
        print(
            f"labels by the most similar sounds of other sources ({describe.name}): right for "
            f"{doubts.right:.0%}; the most frequent label for {doubts.trivial:.0%}"
        )
    else:
        print("nothing could be compared: no recording has one label that another source has too")
    _print_some("nothing sounds in it, so not compared", quiet)
    _print_some("of one source, so not compared", doubts.unjudged)
    if not doubts.judged:
        return problems
    if not doubts.believed:
        print("so they are no reason to doubt a label")
        return problems
    _write(doubts, page, by=describe.name, length=recipe.windows.length)
    return problems


def _write(doubts: Doubts, page: Path, *, by: str, length: float) -> None:
    from training.data_cli.doubts import doubts_csv, doubts_page

    for one in doubts.found[:SHOWN]:
        either = f"{one.label} ({one.share:.0%}), or {one.suggested}? ({one.likely:.0%})"
        print(f"{one.clip.path}: {either}")
    table = page.with_suffix(".csv")
    write_atomic(table, doubts_csv(doubts).encode(errors="backslashreplace"))
    write_atomic(page, doubts_page(doubts, by=by, length=length).encode())
    labels = f"{len(doubts.found):,} label{'s' * (len(doubts.found) != 1)}"
    print(f"{labels} in doubt: {table} and, to hear them, {page}")


def _without(collection: Collection, unread: Sequence[Problem]) -> Collection:
    """Return the collection without the recordings that cannot be read."""
    from training.data_cli.embedded import recording_of

    broken = {one.path for one in unread}
    clips = (clip for clip in collection.clips if recording_of(clip) not in broken)
    return replace(collection, clips=tuple(clips))


def _print_some(what: str, names: Sequence[str]) -> None:
    """Print the first names, and how many more there are; nothing where there are none."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    if names:
        print(f"{what}: {', '.join(names[:SHOWN])}{more}")


def unreadable(
    collection: Collection, *, jobs: int, progress: Progress | None = None
) -> list[Problem]:
    """Return the recordings that cannot be decoded from beginning to end."""
    from joblib import Parallel, delayed

    recordings = sorted({(clip.path, clip.inner) for clip in collection.clips})
    work = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    problems = []
    for number, problem in enumerate(work(delayed(_decode)(*one) for one in recordings), 1):
        problems += [problem] if problem else []
        if progress:
            progress(number, len(recordings))
    return problems


def _decode(path: Path, inner: str) -> Problem | None:
    try:
        audio.read(path, inner, rate=RATE)
    except CollectionError as error:
        return Problem(path / inner if inner else path, str(error))
    return None


def print_collection(collection: Collection) -> None:
    """Print how many clips, hours and sources each label has."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from common.console import console

    clips = collection.counts()
    seconds: Counter[str] = Counter()
    for clip in collection.clips:
        seconds.update(clip.sounding(clip.start, clip.end))
    table = Table("label", box=box.SIMPLE, pad_edge=False)
    for column in ("clips", "hours", "sources"):
        table.add_column(column, justify="right")
    for label in collection.labels:
        sources = {clip.source for clip in collection.clips if label in clip.labels}
        table.add_row(
            escape(label), f"{clips[label]:,}", f"{seconds[label] / 3600:.2f}", f"{len(sources):,}"
        )
    table.add_section()
    table.add_row(
        "all",
        f"{len(collection.clips):,}",
        f"{collection.hours:.2f}",
        f"{len(collection.sources):,}",
    )
    console().print(table)
