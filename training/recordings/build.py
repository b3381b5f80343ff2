"""Tables of collections: plan what to compute, compute it into the cache, assemble it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common.atomic import remove_stale_drafts
from common.strict_json import to_json
from training.common.labels import RATE
from training.recordings import augment
from training.recordings.collection import Clip, Collection, CollectionError, Problem
from training.recordings.extract import LAYOUT, Task, compute_all, key, seed_of
from training.recordings.split import PARTS
from training.recordings.table import DTYPES, Table, open_table, write_table
from training.recordings.windows import labels, starts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from features.config import Kind
    from training.common.progress import Progress
    from training.recordings.extract import Settings
    from training.recordings.split import Split
    from training.recordings.table import Tensors


class Entry(NamedTuple):
    """What the cache holds, or will hold, for one recording and one variant."""

    clips: tuple[int, ...]
    """Numbers of the collection's clips."""
    copy: int
    files: dict[Kind, Path]


def plan(collection: Collection, split: Split, settings: Settings, cache: Path) -> list[Entry]:
    """Return what a table is made of: all originals, then each variant of the training clips."""
    entries = []
    for copy, variant in enumerate(("", *settings.augment.variants)):
        recordings: dict[tuple[Path, str], list[int]] = defaultdict(list)
        for number, clip in enumerate(collection.clips):
            if (not copy or split.part[clip.source] == "train") and len(
                starts(clip, settings.windows)
            ):
                recordings[clip.path, clip.inner].append(number)
        for (path, inner), numbers in recordings.items():
            clips = [collection.clips[number] for number in numbers]
            names = {
                k: key(path, inner, clips, settings, variant=variant, kind=k)
                for k in settings.kinds
            }
            files = {kind: cache / name[:2] / f"{name}.npy" for kind, name in names.items()}
            entries.append(Entry(tuple(numbers), copy, files))
    return entries


def tasks(collection: Collection, entries: Sequence[Entry], settings: Settings) -> list[Task]:
    """Return the recordings of which something is missing in the cache."""
    missing: dict[tuple[Path, str], list[tuple[tuple[int, ...], str, Kind, Path]]] = defaultdict(
        list
    )
    names = ("", *settings.augment.variants)
    for entry in entries:
        first = collection.clips[entry.clips[0]]
        rows = sum(
            len(starts(collection.clips[number], settings.windows)) for number in entry.clips
        )
        for kind, file in entry.files.items():
            if not _whole(file, rows, settings.config.shape(kind), kind):
                missing[first.path, first.inner].append(
                    (entry.clips, names[entry.copy], kind, file)
                )
    found = []
    for (path, inner), parts in missing.items():
        for numbers in sorted({part[0] for part in parts}):
            clips = tuple(collection.clips[number] for number in numbers)
            rows = sum(len(starts(clip, settings.windows)) for clip in clips)
            todo = tuple(part[1:] for part in parts if part[0] == numbers)
            found.append(Task(path, inner, clips, todo, rows * len(todo)))
    return found


def _whole(file: Path, rows: int, shape: tuple[int, ...], kind: Kind) -> bool:
    """Return whether all rows are there: after a power loss a file may be without its content."""
    least = rows * int(np.prod(shape)) * np.dtype(DTYPES[kind]).itemsize
    return file.is_file() and file.stat().st_size > least


def build(
    collection: Collection,
    split: Split,
    settings: Settings,
    path: Path,
    *,
    cache: Path,
    jobs: int = 1,
    progress: Progress | None = None,
    about: dict[str, Any] | None = None,
) -> tuple[Table, tuple[Problem, ...]]:
    """Return the table of a collection, and the recordings it leaves out because unreadable.

    A table at `path` with the same fingerprint is opened without computing. `progress(done, total)`
    counts windows to compute. Raises CollectionError when nothing is left, or the disk is full.
    """
    augment.check_names(settings.augment.variants)
    cache = cache.absolute()
    entries = plan(collection, split, settings, cache)
    # A recording that could not be read may be readable next time: its table is never reused.
    fingerprint, short = (
        _fingerprint(collection, split, settings, entries),
        _too_short(collection, settings),
    )
    if _is_there(path, fingerprint):
        return open_table(path), short
    # Drafts of killed processes, also in folders where nothing is written this time.
    for folder in cache.glob("*/"):
        remove_stale_drafts(folder)
    unread = compute_all(
        tasks(collection, entries, settings), settings, jobs=jobs, progress=progress
    )
    problems = (*short, *unread)
    there = [entry for entry in entries if all(file.is_file() for file in entry.files.values())]
    if not there:
        raise CollectionError(
            f"no window could be cut; the first problem: {problems[0].path}: {problems[0].why}"
        )
    described = (
        _about(collection, settings)
        | {"fingerprint": "" if unread else fingerprint}
        | (about or {})
    )
    return _assemble(collection, split, settings, there, path, described), problems


def _too_short(collection: Collection, settings: Settings) -> tuple[Problem, ...]:
    least = settings.windows.shortest
    short = [clip for clip in collection.clips if not len(starts(clip, settings.windows))]
    return tuple(
        Problem(c.path, f"{c.seconds:.2f} s from {c.start:g} s on: shorter than {least:g} s")
        for c in short
    )


def _about(collection: Collection, settings: Settings) -> dict[str, Any]:
    spec = settings.windows
    return {
        "labels": collection.labels,
        "sources": collection.sources,
        "rule": spec.rule,
        "window_s": spec.length,
        "hop_s": spec.hop,
        "share": spec.share,
        "rate": RATE,
        "variants": settings.augment.variants,
        "seed": settings.seed,
    }


def _is_there(path: Path, fingerprint: str) -> bool:
    try:
        return bool(open_table(path).about.get("fingerprint") == fingerprint)
    except CollectionError:
        return False


def _fingerprint(
    collection: Collection, split: Split, settings: Settings, entries: Sequence[Entry]
) -> str:
    clips = [[asdict(c) | {"path": str(c.path)}, split.part[c.source]] for c in collection.clips]
    files = [sorted(file.name for file in entry.files.values()) for entry in entries]
    what = [
        LAYOUT,
        collection.labels,
        clips,
        files,
        asdict(settings.windows),
        settings.augment.variants,
    ]
    return hashlib.sha256(to_json(what, sort_keys=True).encode()).hexdigest()


def _assemble(
    collection: Collection,
    split: Split,
    settings: Settings,
    entries: Sequence[Entry],
    path: Path,
    about: dict[str, Any],
) -> Table:
    columns = {
        name: np.concatenate(parts)
        for name, parts in _columns(collection, split, settings, entries).items()
    }
    count = len(columns["parts"])
    tensors: dict[str, Tensors] = {
        kind: ((count, *settings.config.shape(kind)), _kept(entries, kind))
        for kind in settings.kinds
    }
    lines = [
        (c.path, c.inner, c.start, c.end, ";".join(c.labels), c.source, split.part[c.source])
        for c in collection.clips
    ]
    return write_table(path, about=about, columns=columns, tensors=tensors, clips=lines)


def _kept(entries: Sequence[Entry], kind: Kind) -> Iterator[npt.NDArray[Any]]:
    """Yield the rows of a kind. A function, for a generator in a loop has the loop's last kind."""
    for entry in entries:
        yield np.load(entry.files[kind], mmap_mode="r")


def _columns(
    collection: Collection, split: Split, settings: Settings, entries: Sequence[Entry]
) -> dict[str, list[npt.NDArray[Any]]]:
    source = {name: number for number, name in enumerate(collection.sources)}
    columns: dict[str, list[npt.NDArray[Any]]] = defaultdict(list)
    for entry in entries:
        for number in entry.clips:
            clip = collection.clips[number]
            at = starts(clip, settings.windows)
            columns["labels"].append(_labels(clip, at, entry.copy, collection.labels, settings))
            columns["groups"].append(np.full(len(at), source[clip.source], np.int32))
            columns["clips"].append(np.full(len(at), number, np.int32))
            columns["starts"].append(at.astype(np.float32))
            columns["parts"].append(
                np.full(len(at), PARTS.index(split.part[clip.source]), np.uint8)
            )
            columns["copies"].append(np.full(len(at), entry.copy, np.uint8))
    return columns


def _labels(
    clip: Clip, at: npt.NDArray[np.float64], copy: int, names: Sequence[str], settings: Settings
) -> npt.NDArray[np.bool_]:
    variant = settings.augment.variants[copy - 1] if copy else ""
    if not variant or augment.VARIANTS[variant].speeds == (1.0, 1.0):
        return labels(clip, at, settings.windows, names)
    speeds = [
        augment.speed_of(variant, seed_of(clip, begin, settings.seed, variant))
        for begin in at.tolist()
    ]
    rows = [
        labels(clip, at[i : i + 1], settings.windows, names, speed=speed)
        for i, speed in enumerate(speeds)
    ]
    return np.concatenate(rows)
