"""Collections from folders of sounds and from CSV lists; other kinds have their own modules."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import normalize

from common.folders import SPECIAL, is_special
from common.names import check_name, part_named, tidy
from features.file_kinds import is_sound
from training.common.errors import MaterialError
from training.common.given_parts import part_levels
from training.common.text_files import number, read_rows
from training.recordings import audacity, musicnet, rendered, silence
from training.recordings.audio import below, seconds_of
from training.recordings.collection import Clip, Collection, CollectionError, Problem, collect
from training.recordings.duplicates import without_duplicates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from training.common.progress import Progress
    from training.common.text_files import Row
    from training.recordings.collection import Found
    from training.recordings.settings import CollectionSpec

COLUMNS = ("path", "start", "end", "labels", "source", "part")
ALIASES = {"label": "labels", "split": "part", "subset": "part"}
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
    try:
        for one in READERS[spec.kind](path, spec):
            found.append(one)
            if progress:
                progress(len(found), 0)
    except CollectionError:
        raise
    except MaterialError as error:
        raise CollectionError(str(error)) from error
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
    return replace(clip, labels=labels, intervals=intervals)


def folders(root: Path, spec: CollectionSpec) -> Iterator[Found]:
    """Yield a clip per file of ROOT/LABEL/file (a source each) or of ROOT/SOURCE/LABEL/file.

    Whichever of the two most files follow is the layout; folders train, val and test above,
    between or below are parts of a split. Names that begin with a dot are ignored.
    """
    del spec
    if not root.is_dir():
        raise CollectionError(
            f"{root} is not a folder: give one that holds LABEL/file or SOURCE/LABEL/file"
        )
    files, empty = below(root)
    above = {path: path.relative_to(root).parts[:-1] for path in files}
    sounds = {path for path in files if is_sound(path)}
    levels = part_levels((above[path] for path in files if path in sounds), 2)
    named = {path: _without_levels(there, levels) for path, there in above.items()}
    depths = Counter(len(named[path]) for path in sounds)
    depth = 2 if depths[2] > depths[1] else 1
    wanted = "SOURCE/LABEL/file" if depth == 2 else "LABEL/file"
    for path in files:
        if path not in sounds:
            yield from _no_sound(path, right_here=not above[path])
        elif reason := _wrong(named[path], depth, wanted):
            yield Problem(path, reason)
        else:
            *_, label = named[path]
            name = path.relative_to(root).as_posix()
            part = part_named(above[path][levels[0]]) if levels else ""
            yield whole(path, (label,), named[path][0] if depth == 2 else name, part)
    yield from (Problem(path, "an empty folder") for path in empty)


def _without_levels(folders: tuple[str, ...], levels: list[int]) -> tuple[str, ...]:
    return tuple(name for level, name in enumerate(folders) if level not in levels)


def _no_sound(path: Path, *, right_here: bool) -> Iterator[Problem]:
    """Yield the problem of a file that is no sound; a file beside the folders may be anything."""
    if is_special(path):
        yield Problem(path, SPECIAL)
    elif not right_here:
        yield Problem(path, f"not a sound file ({path.suffix or 'no suffix'}), nor begins like one")


def _wrong(folders: tuple[str, ...], depth: int, wanted: str) -> str:
    if len(folders) != depth:
        return f"is outside of {wanted}, the layout of most files here"
    return next(filter(None, map(check_name, folders)), "")


def whole(path: Path, labels: tuple[str, ...], source: str, part: str = "") -> Found:
    """Return a clip of a whole file, or the problem with it."""
    try:
        return Clip(path, 0.0, seconds_of(path), labels, source, part=part)
    except CollectionError as error:
        return Problem(path, str(error))


def listed(path: Path, spec: CollectionSpec) -> Iterator[Found]:
    """Yield a clip per line of a list with a header, separated by commas, semicolons or tabs.

    Columns: path (relative to the list), labels (joined by ";", may be empty); and, if there, start
    and end in seconds (else the whole file), source (else every file is its own) and part (train,
    val or test).
    """
    if path.is_dir():
        raise CollectionError(f"{path} is a folder: give the CSV file itself")
    lengths: dict[Path, float] = {}
    lines: dict[tuple[Path, float, float, tuple[str, ...]], int] = {}
    needed = ("path", "labels")
    for row in read_rows(path, COLUMNS, needed=needed, aliases=ALIASES, encoding=spec.encoding):
        try:
            clip = _line(path.parent, row, lengths)
        except (CollectionError, ValueError) as error:
            where = path.parent / row.cells.get("path", "")
            yield Problem(where, f"line {row.line} of {path.name}: {error}")
            continue
        first = lines.setdefault((clip.path, clip.start, clip.end, clip.labels), row.line)
        if first == row.line:
            yield clip
        else:
            why = f"line {row.line} of {path.name}: the same clip as line {first}; counted once"
            yield Problem(clip.path, why)


def _line(folder: Path, row: Row, lengths: dict[Path, float]) -> Clip:
    if row.problem:
        raise CollectionError(row.problem)
    if not (name := row.cells["path"]):
        raise CollectionError("no path")
    path = _found(folder, name)
    seconds = lengths.get(path) or lengths.setdefault(path, seconds_of(path))
    start, end = (
        number(row.cells[column]) if row.cells.get(column) else default
        for column, default in (("start", 0.0), ("end", seconds))
    )
    if not 0 <= start < end:
        raise CollectionError(
            f"start {start:g} and end {end:g}: a clip begins at 0 or later and ends after it begins"
        )
    if end > seconds + SLACK:
        raise CollectionError(f"end {end:g} s is after the end of the file, {seconds:g} s")
    labels = tuple(sorted({tidy(part) for part in row.cells["labels"].split(";")} - {""}))
    if spoilt := next(filter(None, map(check_name, labels)), ""):
        raise CollectionError(spoilt.replace("its name", "a label").replace("rename", "mend"))
    named = row.cells.get("part", "")
    if named and not part_named(named):
        raise CollectionError(f"part {named!r} must be one of train, val, test")
    source = tidy(row.cells.get("source", "")) or name
    return Clip(path, start, min(end, seconds), labels, source, part=part_named(named))


def _found(folder: Path, name: str) -> Path:
    """Return the file of a list, which may have been written on Windows or macOS."""
    plain = name.replace("\\", "/")
    tried = [name, plain, *(normalize(form, plain) for form in ("NFC", "NFD"))]
    return next((folder / one for one in tried if (folder / one).exists()), folder / plain)


READERS: dict[str, Callable[[Path, CollectionSpec], Iterable[Found]]] = {
    "folders": folders,
    "csv": listed,
    "audacity": audacity.tracks,
    "musicnet": musicnet.recordings,
    "scores": rendered.scores,
    "mixtures": rendered.mixtures,
}
