"""Single notes by label: folders of recordings (or rendered fonts) decoded once into a library.

A *library* holds every note of one source, mono at 22,050 Hz, without the silence before it and at
one common loudness, so that real recordings and rendered sound fonts are material of the same kind.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from common.errors import InputError
from features.decode import decode
from features.file_kinds import is_sound
from training.common.disk import cache_folder, content_of, fingerprint
from training.common.errors import MaterialError
from training.common.labels import LABELS, RATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from features.config import Samples


LONGEST = 10 * RATE
SHORTEST = RATE // 10
"""Shorter sounds are ignored: loops of a single wave, clicks of keys."""
LOUDNESS = 0.1
"""RMS of the loudest 0.1 s of every note in a library."""
_NAMES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_ACCIDENTALS = {"": 0, "s": 1, "#": 1, "b": -1}

Index: TypeAlias = npt.NDArray[np.int64]


class Note(NamedTuple):
    """One note on its way into a library. `pitch` is MIDI, NaN where unknown."""

    label: str
    pitch: float
    samples: Samples


@dataclass(frozen=True)
class Library:
    """All notes of one source. Note i is audio[start[i]:end[i]] (int16) of LABELS[label[i]]."""

    source: str
    audio: npt.NDArray[np.int16]
    label: Index
    pitch: npt.NDArray[np.float32]
    start: Index
    end: Index

    @property
    def labels(self) -> list[str]:
        """The labels that have at least one note."""
        return [LABELS[i] for i in np.unique(self.label)]

    def notes(self, label: str) -> Index:
        """Return the indices of the notes of one label."""
        return np.flatnonzero(self.label == LABELS.index(label))

    def length(self, index: Index | int) -> Index:
        """Return the length in samples of one note or of several."""
        return np.asarray(self.end[index] - self.start[index])

    def counts(self) -> dict[str, int]:
        """Return the number of notes per label."""
        return {label: len(self.notes(label)) for label in self.labels}


def pitch_of(name: str) -> float:
    """Return the MIDI pitch in a file name (`flute_Gs6_15_piano`, `Bb2-soft`, `074_14`) or NaN."""
    if number := re.match(r"(\d{2,3})_", name):
        return float(number[1])
    if note := re.search(r"(?:^|[_-])([A-G])(s|#|b)?(-?\d)(?=[_.-]|$)", name):
        return 12.0 * (int(note[3]) + 1) + _NAMES[note[1]] + _ACCIDENTALS[note[2] or ""]
    return float("nan")


def decode_file(path: Path, *, rate: int = RATE) -> Samples:
    """Return the whole file, mono at `rate` Hz. Raises MaterialError when it is not sound."""
    try:
        return decode(
            path.read_bytes(),
            sample_rate=rate,
            max_seconds=7200,
            max_samples=None,
            ffmpeg=True,
        )
    except InputError as error:
        raise MaterialError(f"{path} cannot be read as sound: {error}") from error


def tidy(samples: Samples) -> Samples:
    """Return the note without silence around it (40 dB below its peak) and at the common loudness.

    Empty for silence and for notes that are too short.
    """
    frame = RATE // 50
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    rms = np.sqrt(np.mean(frames**2, axis=1)) if len(frames) else np.zeros(1)
    if rms.max() < 1e-4:
        return np.zeros(0, np.float32)
    audible = np.flatnonzero(rms > rms.max() * 10 ** (-40 / 20))
    begin = max(0, int(audible[0]) - 1) * frame
    note = samples[begin : min(begin + LONGEST, (int(audible[-1]) + 2) * frame)]
    loudest = np.sqrt(np.convolve(rms**2, np.ones(5) / 5).max())
    if len(note) < SHORTEST:
        return np.zeros(0, np.float32)
    # A click is all peak and no loudness; it must still fit into int16.
    levelled: Samples = note * np.float32(min(LOUDNESS / loudest, 0.99 / np.abs(note).max()))
    return levelled


def read_folder(folder: Path) -> Iterable[Note]:
    """Yield the notes of FOLDER/LABEL/*, sorted by name; labels not in LABELS are ignored."""
    for label, path in _sounds(folder):
        yield Note(label, pitch_of(path.stem), decode_file(path))


def _sounds(folder: Path) -> Iterator[tuple[str, Path]]:
    for label in LABELS:
        for path in sorted((folder / label).glob("*")):
            if path.is_file() and is_sound(path):
                yield label, path


def build_library(notes: Iterable[Note], source: str, folder: Path) -> Library:
    """Store the notes as a library in `folder`, whole or not at all, and return it opened."""
    tidied = [(note, tidied) for note in notes if len(tidied := tidy(note.samples))]
    if not tidied:
        raise MaterialError(
            f"no sounds of any label found for {source}; expected folders named {', '.join(LABELS)}"
        )
    ends = np.cumsum([len(samples) for _, samples in tidied])
    with cache_folder(folder) as work:
        np.save(
            work / "audio.npy",
            np.round(np.concatenate([s for _, s in tidied]) * 32767).astype(np.int16),
        )
        np.savez(
            work / "table.npz",
            label=np.array([LABELS.index(note.label) for note, _ in tidied]),
            pitch=np.array([note.pitch for note, _ in tidied], np.float32),
            start=np.concatenate([[0], ends[:-1]]),
            end=ends,
        )
    return open_library(source, folder)


def open_library(source: str, folder: Path) -> Library:
    """Open a stored library; the audio stays on disk until it is touched."""
    with np.load(folder / "table.npz") as table:
        return Library(
            source,
            np.load(folder / "audio.npy", mmap_mode="r"),
            **{key: table[key] for key in table.files},
        )


def files_of(folders: Sequence[Path]) -> list[list[Any]]:
    """Return name and content of every file that `read_folder` reads, sorted in each folder."""
    return [
        [str(path.relative_to(each)), content_of(path)]
        for each in folders
        for path in sorted(path for _, path in _sounds(each))
    ]


def library_of_folder(folder: Path, cache: Path, *more: Path, source: str | None = None) -> Library:
    """Return the library of FOLDER/LABEL/* and of `more` folders, decoded once into `cache`."""
    name = source or folder.name
    folders = (folder, *more)
    if absent := [str(each) for each in folders if not each.is_dir()]:
        raise MaterialError(
            f"no folder {', '.join(absent)}: "
            f"give a folder that holds LABEL/*.wav (or flac, ogg, mp3, ...)"
        )
    kept = cache / f"{name}-{fingerprint(files_of(folders))}"
    if kept.is_dir():
        return open_library(name, kept)
    return build_library(chain.from_iterable(read_folder(each) for each in folders), name, kept)
