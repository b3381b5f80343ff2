"""`timbre data check`: reads every recording, counts labels and sources, lists problems."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from training.common.labels import RATE
from training.common.progress import stage
from training.data_cli.main import parser
from training.recordings import audio
from training.recordings.collection import Collection, CollectionError, Problem
from training.recordings.load import load
from training.recordings.problems import problems_kept, write_problems
from training.recordings.recipe_of import recipe_of

if TYPE_CHECKING:
    from pathlib import Path

    from training.common.progress import Progress


def main(argv: list[str]) -> int:
    """Run `timbre data check`; 1 when there are problems."""
    from pathlib import Path

    options = parser("check", __doc__ or "")
    options.add_argument(
        "--problems", type=Path, default=Path("problems.csv"), help="written if there are any"
    )
    args = options.parse_args(argv)
    recipe = recipe_of(args.spec, args.set)
    with problems_kept(args.problems), stage("list the collection") as progress:
        collection = load(recipe.collection, progress)
    with stage("read every recording") as progress:
        unread = unreadable(collection, jobs=recipe.jobs, progress=progress)
    print_collection(collection)
    return write_problems((*collection.problems, *unread), args.problems)


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
