"""MusicNet in each of the forms it was published in: WAV and CSV files, HDF5, and npz.

Thickstun, Harchaoui, Kakade: Learning Features of Music from Scratch, ICLR 2017;
https://zenodo.org/records/5120004. Labels are notes: start and end in samples at 44,100 Hz, the
instrument as a General MIDI program counted from 1.
"""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from training.common.errors import MaterialError
from training.common.text_files import read_text
from training.notes.sheet_music import PROGRAMS
from training.recordings.audio import MUSICNET_RATE, seconds_of
from training.recordings.collection import Clip, CollectionError, Interval, Problem, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from training.recordings.collection import Found
    from training.recordings.settings import CollectionSpec

Notes: TypeAlias = "list[tuple[int, int, int]]"
"""Start and end in samples, and the instrument."""
Sources: TypeAlias = "Callable[[str], str]"

METADATA = "musicnet_metadata.csv"
PARTS = ("train", "test")
TESTED = frozenset(
    ("1759", "1819", "2106", "2191", "2298", "2303", "2382", "2416", "2556", "2628")
)  # fmt: skip
"""The recordings of test_data in the published folder; the other forms do not name them."""
HEADER = ("start_time", "end_time", "instrument")
"""The columns that are read; the others are note, start_beat, end_beat, note_value."""


def recordings(path: Path, spec: CollectionSpec) -> Iterator[Found]:
    """Yield a clip per recording of a MusicNet folder, .h5 or .npz file.

    A folder holds {train,test}_{data,labels}/ID.{wav,csv}.

    The source joins the metadata's columns `spec.group`: movements of one piece by
    one ensemble stay together. Who played is not in the metadata. Without it, every recording is a
    source of its own, and a problem reports it. Between notes nothing sounds.
    """
    folder = path if path.is_dir() else path.parent
    # Copies of the data set put one folder into another, and the metadata beside the outer one.
    metadata = next(
        (p / METADATA for p in (folder, *folder.parents[:2]) if (p / METADATA).is_file()), None
    )
    if not metadata:
        yield Problem(folder / METADATA, "not there: each recording counts as a source of its own")
    sources = _sources(metadata, spec.group)
    if path.is_dir():
        yield from _files(path, sources)
    elif path.suffix.lower() in {".h5", ".hdf5"}:
        yield from _hdf5(path, sources)
    elif path.suffix.lower() == ".npz":
        yield from _npz(path, sources)
    else:
        raise CollectionError(
            f"{path}: MusicNet is a folder with train_data and train_labels, an .h5 or an .npz file"
        )


def _sources(metadata: Path | None, group: tuple[str, ...]) -> Sources:
    table: dict[str, str] = {}
    if metadata:
        with io.StringIO(read_text(metadata), newline="") as file:
            reader = csv.DictReader(file)
            if missing := {"id", *group} - set(reader.fieldnames or ()):
                raise CollectionError(f"{metadata}: no column {', '.join(sorted(missing))}")
            table = {
                row["id"]: " | ".join(row[column].strip() for column in group) for row in reader
            }
    return lambda name: table.get(name, name)


def _files(root: Path, sources: Sources) -> Iterator[Found]:
    if not any((root / f"{part}_data").is_dir() for part in PARTS):
        raise CollectionError(
            f"{root}: no train_data or test_data; "
            f"unpack musicnet.tar.gz and give its folder musicnet"
        )
    for part in PARTS:
        sounds, labels = sorted((root / f"{part}_data").glob("*.wav")), root / f"{part}_labels"
        yield from (_wav(path, labels, sources, part) for path in sounds)
        lonely = {path.stem for path in labels.glob("*.csv")} - {path.stem for path in sounds}
        yield from (
            Problem(labels / f"{name}.csv", f"no {part}_data/{name}.wav") for name in sorted(lonely)
        )


def _wav(path: Path, labels: Path, sources: Sources, part: str) -> Found:
    table = labels / f"{path.stem}.csv"
    if not table.is_file():
        return Problem(path, f"no labels {labels.name}/{table.name}")
    try:
        found = clip(path, "", seconds_of(path), _notes(table), sources(path.stem))
        return replace(found, part=part)
    except MaterialError as error:
        return Problem(path, str(error))


def _notes(table: Path) -> Notes:
    with io.StringIO(read_text(table), newline="") as file:
        reader = csv.DictReader(file)
        if missing := set(HEADER) - set(reader.fieldnames or ()):
            raise CollectionError(f"{table.name} has no column {', '.join(sorted(missing))}")
        try:
            return [
                (int(row["start_time"]), int(row["end_time"]), int(row["instrument"]))
                for row in reader
            ]
        except (TypeError, ValueError) as error:
            raise CollectionError(f"{table.name}, line {reader.line_num}: {error}") from error


def _hdf5(path: Path, sources: Sources) -> Iterator[Found]:
    """Yield a clip per group id_ID with data (samples) and labels (start_time, end_time, ...)."""
    import h5py

    try:
        with h5py.File(path, "r") as file:
            for name in sorted(file):
                try:
                    notes = [tuple(map(int, file[name]["labels"][field])) for field in HEADER]
                    seconds = len(file[name]["data"]) / MUSICNET_RATE
                    number = name.removeprefix("id_")
                    found = clip(
                        path, name, seconds, list(zip(*notes, strict=True)), sources(number)
                    )
                    yield replace(found, part=_part(number))
                except (KeyError, ValueError, TypeError, CollectionError) as error:
                    yield Problem(path / name, f"no recording with data and labels: {error}")
    except OSError as error:
        raise CollectionError(f"{path} cannot be read as HDF5: {error}") from error


def _npz(path: Path, sources: Sources) -> Iterator[Found]:
    from training.recordings.safe_pickle import names, recording

    for name in names(path):
        try:
            samples, notes = recording(path, name)
            found = clip(path, name, len(samples) / MUSICNET_RATE, notes, sources(name))
            yield replace(found, part=_part(name))
        except CollectionError as error:
            yield Problem(path / name, str(error))


def _part(number: str) -> str:
    """Return the part of a recording by its number, in the forms that have no folders."""
    return "test" if number in TESTED else "train"


def clip(
    path: Path, inner: str, seconds: float, notes: Iterable[tuple[int, int, int]], source: str
) -> Clip:
    """Return the clip of one recording. Raises CollectionError for impossible notes."""
    intervals = []
    for begin, finish, program in notes:
        start, end = begin / MUSICNET_RATE, min(finish / MUSICNET_RATE, seconds)
        if program - 1 not in PROGRAMS:
            raise CollectionError(
                f"instrument {program} is not one of MusicNet's (General MIDI counted from 1)"
            )
        if not 0 <= start < end:
            raise CollectionError(
                f"a note from sample {begin} to {finish} is outside of the recording"
            )
        intervals.append(Interval(start, end, PROGRAMS[program - 1]))
    if not intervals:
        raise CollectionError("not a single note")
    labels = tuple(sorted({one.label for one in intervals}))
    return Clip(path, 0.0, seconds, labels, source, merge(intervals), inner)
