"""2-s windows of sound without labels, as many kinds as there are: for networks of one's own.

Folders of recordings, all programs of sound fonts, generated noises and music, and mixtures of two
of these, each through a room, a microphone, noise or a codec (`training.notes.augment`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from common.atomic import atomic_file
from features.file_kinds import is_sound
from training.common.disk import content_of, fingerprint
from training.common.errors import MaterialError
from training.common.labels import RATE
from training.notes.augment import apply, draw
from training.notes.library import decode_file
from training.notes.mixtures import PRE_ROLL, WINDOW
from training.notes.other_sounds import KINDS, other_sound
from training.notes.programs import played

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from features.config import Samples
    from training.common.progress import Progress

VERSION = 1
"""Raised whenever the same settings would give other windows."""
SPEED = 0.5
"""Octaves by which half of the windows are played faster or slower at most."""
QUIETEST_DB = 15.0
"""Of the second sound of a mixture, below the first."""
AUDIBLE = 1e-3
"""RMS of what is no silence, where the loudest sample is 1."""
TRIES = 20
"""Places that a sound is looked for at, before silence is taken as it is."""
_SPAN = PRE_ROLL + WINDOW


@dataclass(frozen=True)
class Sounds:
    """All recordings of one kind, after each other. Recording i is audio[start[i]:start[i + 1]]."""

    name: str
    audio: npt.NDArray[np.int16]
    start: npt.NDArray[np.int64]

    def draw(self, rng: np.random.Generator) -> Samples:
        """Return the samples of a window and of the second before it, peak 1, not silent."""
        for _ in range(TRIES):
            number = int(rng.integers(len(self.start) - 1))
            begin, end = self.start[number : number + 2].tolist()
            speed = 2 ** rng.uniform(-SPEED, SPEED) if rng.random() < 0.5 else 1.0
            length = round(_SPAN * speed)
            # A recording begins anywhere in the window, or before it.
            first = int(rng.integers(begin - length + PRE_ROLL, max(begin + 1, end - RATE // 2)))
            span = np.zeros(length, np.float32)
            there = np.asarray(self.audio[max(begin, first) : min(end, first + length)])
            span[max(0, begin - first) :][: len(there)] = there
            if speed != 1:
                at = np.linspace(0, length - 1, _SPAN)
                span = np.interp(at, np.arange(length), span).astype(np.float32)
            peak = float(np.abs(span).max())
            if peak and np.sqrt(np.mean(np.square(span[PRE_ROLL:] / peak))) > AUDIBLE:
                break
        return span / np.float32(max(peak, 1.0))


@dataclass(frozen=True)
class Generated:
    """Noises, tones, beats and what is like speech or music, made when drawn."""

    name: str = "generated"

    def draw(self, rng: np.random.Generator) -> Samples:
        """Return the samples of a window and of the second before it, peak 1."""
        kind = list(KINDS)[rng.integers(len(KINDS))]
        sound = other_sound(kind, _SPAN, rng)
        return sound / np.float32(max(float(np.abs(sound).max()), 1e-9))


def of_folder(folder: Path, cache: Path, *, progress: Progress | None = None) -> Sounds:
    """Return all recordings in a folder, decoded at the first call and kept in `cache`.

    Raises MaterialError for a folder without any, or a file that cannot be read.
    """
    files = _recordings(folder)
    kept = cache / f"recordings-{fingerprint([VERSION, contents(folder)])}.npz"
    if not kept.is_file():
        parts = []
        for number, path in enumerate(files, 1):
            sound = decode_file(path)
            scaled = sound * (32_767 / max(float(np.abs(sound).max(initial=0)), 1e-9))
            parts.append(scaled.astype(np.int16))
            if progress:
                progress(number, len(files))
        start = np.cumsum([0, *map(len, parts)])
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(kept) as draft, draft.open("wb") as file:
            np.savez(file, audio=np.concatenate(parts), start=start)
    with np.load(kept) as found:
        return Sounds(folder.name, found["audio"], found["start"])


def contents(folder: Path) -> list[list[str]]:
    """Return the name and the sha256 of each recording in a folder. Raises MaterialError."""
    return [[path.name, content_of(path)] for path in _recordings(folder)]


def _recordings(folder: Path) -> list[Path]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and is_sound(path))
    if not files:
        raise MaterialError(f"{folder}: no recordings in it")
    return files


def of_font(font: Path, seconds: float, seed: int, cache: Path) -> Sounds:
    """Return all programs of a sound font (`training.notes.programs.played`)."""
    audio = played(font, seconds, seed, cache)
    return Sounds(font.stem, audio, np.array([0, len(audio)]))


def window(
    kinds: Sequence[Sounds | Generated],
    weights: Sequence[float],
    mixed: float,
    rng: np.random.Generator,
) -> Samples:
    """Return one window, float32 (44100,). mixed: share of those that have a second sound."""
    chances = np.asarray(weights) / np.sum(weights)
    sound = kinds[rng.choice(len(kinds), p=chances)].draw(rng)
    if rng.random() < mixed:
        other = kinds[rng.choice(len(kinds), p=chances)].draw(rng)
        sound = sound + other * np.float32(10 ** (-rng.uniform(0, QUIETEST_DB) / 20))
    return apply(sound, draw(rng))
