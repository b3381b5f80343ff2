"""Collections from folders of sounds and from CSV lists; other kinds have their own modules."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from training.recordings import audacity, musicnet, rendered, silence
from training.recordings.audio import below, is_sound, seconds_of
from training.recordings.collection import Clip, Collection, CollectionError, Problem, collect
from training.recordings.duplicates import without_duplicates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from training.common.progress import Progress
    from training.recordings.collection import Found
    from training.recordings.settings import CollectionSpec

COLUMNS = ("path", "start", "end", "labels", "source")
SLACK = 0.05
"""Seconds by which a list may claim more than the file has: rounding, the padding of MP3."""


def load(spec: CollectionSpec, progress: Progress | None = None) -> Collection:
    """Return the collection of a recipe's section [collection]. progress: called with (found, 0).

    Files that are no sound, or twice there, and lines that cannot be are its `problems`. Raises
    CollectionError when there is nothing to train on.
    """
    # Absolute, because processes that read it may have begun elsewhere.
    path = Path(spec.path).expanduser().absolute()
    if not spec.path:
        raise CollectionError("no collection: set collection.path=FOLDER")
    if not path.exists():
        raise CollectionError(f"no folder or file {path}")
    found: list[Found] = []
    for one in READERS[spec.kind](path, spec):
        found.append(one)
        if progress:
            progress(len(found), 0)
    clips, duplicates = without_duplicates([one for one in found if isinstance(one, Clip)])
    problems = [*(one for one in found if isinstance(one, Problem)), *duplicates]
    clips = [_without(clip, spec.background) for clip in clips]
    if spec.nothing and clips:
        clips += silence.clips(
            spec.nothing * sum(clip.seconds for clip in clips), rendered.folder_of(spec)
        )
    return collect(clips, problems, spec.labels)


def _without(clip: Clip, background: tuple[str, ...]) -> Clip:
    """Return the clip without its background labels."""
    if not set(clip.labels) & set(background):
        return clip
    labels = tuple(label for label in clip.labels if label not in background)
    intervals = tuple(one for one in clip.intervals if one.label not in background)
    return Clip(clip.path, clip.start, clip.end, labels, clip.source, intervals, clip.inner)


def folders(root: Path, spec: CollectionSpec) -> Iterator[Found]:
    """Yield a clip per file of ROOT/LABEL/file (a source each) or of ROOT/SOURCE/LABEL/file.

    Whichever of the two most files follow is the layout. Names that begin with a dot are
    ignored.
    """
    del spec
    if not root.is_dir():
        raise CollectionError(
            f"{root} is not a folder: give one that holds LABEL/file or SOURCE/LABEL/file"
        )
    files, empty = below(root)
    depths = Counter(len(path.relative_to(root).parts) for path in files if is_sound(path))
    depth = 3 if depths[3] > depths[2] else 2
    wanted = "SOURCE/LABEL/file" if depth == 3 else "LABEL/file"
    for path in files:
        *_, label, _ = parts = path.relative_to(root).parts if path.parent != root else ("", "")
        if not is_sound(path):
            if path.parent != root:
                yield Problem(path, f"not a sound file ({path.suffix or 'no suffix'})")
        elif len(parts) != depth or path.parent == root:
            yield Problem(path, f"is outside of {wanted}, the layout of most files here")
        else:
            yield whole(path, (label,), parts[0] if depth == 3 else "/".join(parts))
    yield from (Problem(path, "an empty folder") for path in empty)


def whole(path: Path, labels: tuple[str, ...], source: str) -> Found:
    """Return a clip of a whole file, or the problem with it."""
    try:
        return Clip(path, 0.0, seconds_of(path), labels, source)
    except CollectionError as error:
        return Problem(path, str(error))


def listed(path: Path, spec: CollectionSpec) -> Iterator[Found]:
    """Yield a clip per line of a CSV file with a header.

    Columns: path (relative to the list), labels (joined by ";", may be empty); and, if there, start
    and end in seconds (else the whole file) and source (else every file is its own).
    """
    del spec
    if path.is_dir():
        raise CollectionError(f"{path} is a folder: give the CSV file itself")
    lengths: dict[Path, float] = {}
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        names = [name for name in reader.fieldnames or () if name]
        if missing := {"path", "labels"} - set(names):
            raise CollectionError(
                f"{path}: no column {', '.join(sorted(missing))}; columns are {', '.join(COLUMNS)}"
            )
        if unknown := set(names) - set(COLUMNS):
            raise CollectionError(
                f"{path}: unknown column {', '.join(sorted(unknown))}; "
                f"there is {', '.join(COLUMNS)}"
            )
        for row in reader:
            try:
                yield _line(path.parent, row, lengths)
            except (CollectionError, ValueError) as error:
                where = path.parent / (row["path"] or "")
                yield Problem(where, f"line {reader.line_num} of {path.name}: {error}")


def _line(folder: Path, row: Mapping[str, str | None], lengths: dict[Path, float]) -> Clip:
    if not (name := (row["path"] or "").strip()):
        raise CollectionError("no path")
    path = folder / name
    seconds = lengths.get(path) or lengths.setdefault(path, seconds_of(path))
    start = float(row.get("start") or 0.0)
    end = float(row.get("end") or seconds)
    if not 0 <= start < end:
        raise CollectionError(
            f"start {start:g} and end {end:g}: a clip begins at 0 or later and ends after it begins"
        )
    if end > seconds + SLACK:
        raise CollectionError(f"end {end:g} s is after the end of the file, {seconds:g} s")
    labels = tuple(sorted({part.strip() for part in (row["labels"] or "").split(";")} - {""}))
    return Clip(path, start, min(end, seconds), labels, (row.get("source") or "").strip() or name)


READERS: dict[str, Callable[[Path, CollectionSpec], Iterable[Found]]] = {
    "folders": folders,
    "csv": listed,
    "audacity": audacity.tracks,
    "musicnet": musicnet.recordings,
    "scores": rendered.scores,
    "mixtures": rendered.mixtures,
}
