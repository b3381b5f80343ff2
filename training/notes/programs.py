"""Every program of a General MIDI sound font, played at random: sound without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from common.atomic import atomic_file
from training.common.disk import content_of, fingerprint
from training.common.errors import MaterialError
from training.common.labels import RATE
from training.notes.render import Channel, Struck, render_channels
from training.notes.soundfont import program_zones

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

    from features.config import Samples

PROGRAMS = 128
"""Of General MIDI; the drums are one more."""
TAIL_S = 2.0
"""Silence in which the last notes of a program die away."""
VERSION = 1
"""Raised whenever the same settings would be played differently."""
_LOWEST, _HIGHEST = 28, 96
_DRUMS = (35, 81)
_LOUDNESS, _SILENT = 0.125, 1e-5


class Style(NamedTuple):
    """How a stretch of notes is played."""

    beat: float
    """Seconds."""
    centre: int
    """MIDI pitch."""
    spread: int
    """Semitones to both sides of the centre."""
    held: float
    """Length of a note in beats."""
    voices: int
    """Notes at once, at most."""


def played(font: Path, seconds: float, seed: int, cache: Path) -> npt.NDArray[np.int16]:
    """Return all programs of a font after each other, each for so many seconds, then the drums.

    Mono at 22,050 Hz, rendered at the first call and kept in the folder `cache`. Raises
    MaterialError without FluidSynth, or for what is no sound font.
    """
    kept = cache / f"programs-{fingerprint([VERSION, content_of(font), seconds, seed])}.npy"
    if not kept.is_file():
        # FluidSynth plays silence for what is no sound font.
        program_zones(font)
        sound = render_channels(font, channels(seconds, seed))
        kept.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(kept) as draft, draft.open("wb") as file:
            np.save(file, _levelled(sound, seconds, font))
    found: npt.NDArray[np.int16] = np.load(kept, mmap_mode="r")
    return found


def channels(seconds: float, seed: int) -> list[Channel]:
    """Return what is played: a melodic channel with all programs in turn, and the drums."""
    rng = np.random.default_rng(seed)
    turn = seconds + TAIL_S
    changes = [(number * turn, number) for number in range(PROGRAMS)]
    notes = [note for begin, _ in changes for note in _tune(begin, seconds, rng)]
    begin = PROGRAMS * turn
    return [
        Channel(0, changes, notes),
        Channel(9, [(begin, 0)], list(_beats(begin, seconds, rng))),
    ]


def _tune(begin: float, seconds: float, rng: np.random.Generator) -> list[Struck]:
    """Return notes in styles that change every few seconds."""
    notes: list[Struck] = []
    now = 0.0
    while now < seconds:
        style, end = _style(rng), min(seconds, now + rng.uniform(3, 8))
        while now < end:
            for _ in range(rng.integers(1, style.voices + 1)):
                pitch = style.centre + int(rng.integers(-style.spread, style.spread + 1))
                length = style.beat * style.held * rng.uniform(0.7, 1.3)
                struck = int(rng.integers(30, 127)), int(rng.choice([0, 0, 90]))
                notes.append(Struck(begin + now, length, int(np.clip(pitch, 21, 108)), *struck))
            now += style.beat * float(rng.choice([0.5, 1, 1, 2]))
    return notes


def _style(rng: np.random.Generator) -> Style:
    return Style(
        beat=float(np.exp(rng.uniform(np.log(0.12), np.log(1.5)))),
        centre=int(rng.integers(_LOWEST, _HIGHEST)),
        spread=int(rng.integers(1, 13)),
        held=float(rng.uniform(0.3, 1.5)),
        voices=int(rng.choice([1, 1, 2, 4])),
    )


def _beats(begin: float, seconds: float, rng: np.random.Generator) -> list[Struck]:
    """Return drums, a few of them at a time."""
    notes: list[Struck] = []
    now = 0.0
    while now < seconds:
        beat, end = rng.uniform(0.1, 0.5), min(seconds, now + rng.uniform(3, 8))
        kit = rng.integers(*_DRUMS, size=rng.integers(1, 5))
        while now < end:
            notes.append(Struck(begin + now, 0.2, int(rng.choice(kit)), int(rng.integers(30, 127))))
            now += beat * float(rng.choice([0.5, 1, 1, 2]))
    return notes


def _levelled(sound: Samples, seconds: float, font: Path) -> npt.NDArray[np.int16]:
    """Return each program at one loudness, without what a font does not have."""
    turn = round((seconds + TAIL_S) * RATE)
    parts = [sound[at : at + turn] for at in range(0, (PROGRAMS + 1) * turn, turn)]
    loud = [(part, float(np.sqrt(np.mean(np.square(part))))) for part in parts if len(part)]
    scaled = [part * np.float32(_LOUDNESS / rms) for part, rms in loud if rms > _SILENT]
    if not scaled:
        raise MaterialError(f"{font}: none of its programs sounds")
    return np.concatenate([np.clip(one, -1, 1) * 32_767 for one in scaled]).astype(np.int16)
