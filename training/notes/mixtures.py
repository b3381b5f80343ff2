"""Parts played with the notes of a library, mixed at random levels, with their audible labels.

A label is **on** in a window when its part is above -40 dB of the loudest 23-ms frame of the mix
for at least 0.3 s of the window's 2 s. A window of one note is the note's label whenever any of it
sounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numba
import numpy as np
import numpy.typing as npt

from features.config import DEFAULT
from training.common.labels import LABELS, RANGES, RATE
from training.notes.phrases import KEYS, Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.config import Samples
    from training.notes.library import Index, Library

WINDOW = DEFAULT.window
PRE_ROLL = RATE
"""Samples played before the window begins, so that rooms and held notes are already there."""
FRAME = 512
AUDIBLE_DB = -40.0
AUDIBLE_SECONDS = 0.3
MAX_SHIFT = 3.5
"""Semitones that a note may be moved from its recorded pitch."""


@dataclass(frozen=True)
class Take:
    """A dry window after its pre-roll, (PRE_ROLL + WINDOW,), and its labels, bool (11,)."""

    samples: Samples
    labels: npt.NDArray[np.bool_]


@numba.njit(cache=True, nogil=True, fastmath=True)  # type: ignore[untyped-decorator]
def _stretch(
    audio: npt.NDArray[np.int16],
    out: Samples,
    start: float,
    ratio: float,
    depth: float,
    turn: float,
) -> int:
    """Resample audio into `out` by cubic interpolation; return the number of samples written.

    ratio: speed of reading. depth, turn: of the vibrato.
    """
    position = start
    step = ratio
    for i in range(len(out)):
        if i % 64 == 0:
            step = ratio * (1 + depth * np.sin(turn * i))
        k = int(position)
        if k + 2 >= len(audio):
            return i
        x = np.float32(position - k)
        b, c, d = np.float32(audio[k]), np.float32(audio[k + 1]), np.float32(audio[k + 2])
        a = np.float32(audio[k - 1]) if k > 0 else b
        bend = np.float32(3) * (b - c) + d - a
        lift = np.float32(2) * a - np.float32(5) * b + np.float32(4) * c - d
        out[i] = b + np.float32(0.5) * x * (c - a + x * (lift + x * bend))
        position += step
    return len(out)


def choose(
    library: Library, label: str, pitch: float, samples: int, rng: np.random.Generator
) -> tuple[int, float]:
    """Return a note that can play `pitch` and its transposition in semitones, at most MAX_SHIFT.

    Among the notes in reach those that last long enough come first. Notes of unknown pitch are
    never moved.
    """
    notes = library.notes(label)
    distance = np.abs(library.pitch[notes] - pitch)
    distance[np.isnan(distance)] = MAX_SHIFT
    near = notes[distance <= max(MAX_SHIFT, float(distance.min()))]
    lasting = near[library.length(near) >= samples]
    pool: Index = lasting if len(lasting) >= 2 else near
    index = int(pool[rng.integers(len(pool))])
    if np.isnan(library.pitch[index]):
        return index, 0.0
    moved = pitch - float(library.pitch[index])
    # Whole octaves first: a part outside the material's range stays in tune with the others.
    moved -= 12 * round(moved / 12) if abs(moved) > MAX_SHIFT else 0
    return index, float(np.clip(moved, -MAX_SHIFT, MAX_SHIFT))


def sound_note(
    library: Library,
    index: int,
    *,
    samples: int,
    moved: float = 0.0,
    start: float = 0.0,
    vibrato: tuple[float, float] = (0.0, 0.0),
) -> Samples:
    """Return up to `samples` of one note, moved by semitones, from `start` samples into it.

    `vibrato` is its width in semitones and its turns a second.
    """
    audio = library.audio[library.start[index] : library.end[index]]
    out = np.empty(samples, np.float32)
    width, hertz = vibrato
    written = _stretch(
        audio, out, start, 2 ** (moved / 12), 0.058 * width, 2 * np.pi * hertz / RATE
    )
    out = out[:written]
    out /= np.float32(32768)
    return out


def play_note(
    library: Library, label: str, event: Event, rng: np.random.Generator, *, detune: float = 0.0
) -> Samples:
    """Return one note of a part with its release, float32 in about [-1, 1]."""
    release = int(rng.uniform(0.02, 0.25) * RATE)
    wanted = int(event.duration * RATE) + release
    index, moved = choose(library, label, event.pitch, wanted, rng)
    spare = float(library.length(index)) - wanted * 2 ** ((moved + detune) / 12)
    held = label not in KEYS
    # Held instruments may enter in the middle of a long recording: another bow, another breath, a
    # slur.
    slurred = held and spare > 0 and rng.random() < 0.3
    start = rng.uniform(0, spare) if slurred else 0.0
    vibrato = (
        (rng.uniform(0, 0.12), rng.uniform(4, 7)) if held and rng.random() < 0.3 else (0.0, 0.0)
    )
    out = sound_note(
        library, index, samples=wanted, moved=moved + detune, start=start, vibrato=vibrato
    )
    swell = rng.uniform(-12, 12) if held and rng.random() < 0.25 else 0.0
    out *= _ramp(event.gain - swell, event.gain, len(out))
    fade_in(out, int(rng.uniform(0.01, 0.06) * RATE) if slurred else RATE // 500)
    fade_out(out, min(release, len(out) // 2))
    return out


def _ramp(first_db: float, last_db: float, length: int) -> Samples:
    if first_db == last_db:
        return np.full(length, 10 ** (last_db / 20), np.float32)
    return np.power(
        np.float32(10), np.linspace(first_db / 20, last_db / 20, length, dtype=np.float32)
    )


def fade_in(note: Samples, samples: int) -> None:
    """Let the note begin from nothing, in place."""
    samples = min(samples, len(note))
    note[:samples] *= np.linspace(0, 1, samples, dtype=np.float32)


def fade_out(note: Samples, samples: int) -> None:
    """Let the note end in nothing, in place."""
    samples = min(samples, len(note))
    note[len(note) - samples :] *= np.linspace(1, 0, samples, dtype=np.float32) ** 2


def play(
    library: Library,
    label: str,
    events: Sequence[Event],
    samples: int,
    rng: np.random.Generator,
    *,
    detune: float = 0.0,
) -> Samples:
    """Return a part played from the library's notes, shape (samples,)."""
    stem = np.zeros(samples, np.float32)
    for event in events:
        begin = int(event.onset * RATE)
        if begin < samples:
            cut = event._replace(duration=min(event.duration, (samples - begin) / RATE))
            note = play_note(library, label, cut, rng, detune=detune)[: samples - begin]
            stem[begin : begin + len(note)] += note
    return stem


def section(
    library: Library, label: str, events: Sequence[Event], samples: int, rng: np.random.Generator
) -> Samples:
    """Return the part, (samples,): one player, or sometimes two to four in imperfect unison."""
    if label in KEYS or rng.random() > 0.2:
        return play(library, label, events, samples, rng, detune=rng.normal(0, 0.08))
    stem = np.zeros(samples, np.float32)
    for _ in range(rng.integers(2, 5)):
        late = [e._replace(onset=max(0.0, e.onset + rng.normal(0, 0.02))) for e in events]
        stem += play(library, label, late, samples, rng, detune=rng.normal(0, 0.12))
    return stem


def into_range(events: Sequence[Event], label: str) -> list[Event]:
    """Return the events moved by octaves into the label's range, all by the same number."""
    if not events:
        return []
    low, high = RANGES[label]
    middle = float(np.median([event.pitch for event in events]))
    octaves = next((o for o in (0, -1, 1, -2, 2, -3, 3) if low <= middle + 12 * o <= high), 0)
    return [
        event._replace(pitch=float(np.clip(event.pitch + 12 * octaves, low, high)))
        for event in events
    ]


def frame_rms(samples: Samples) -> Samples:
    """Return the RMS of the window's frames of 512 samples, shape (86,)."""
    frames = samples[-WINDOW:][: WINDOW // FRAME * FRAME].reshape(-1, FRAME)
    rms: Samples = np.sqrt(np.einsum("ij,ij->i", frames, frames) / FRAME)
    return rms


def mix(
    stems: Sequence[Samples],
    names: Sequence[str],
    rng: np.random.Generator,
    *,
    spread_db: float = 12.0,
) -> Take:
    """Return the stems mixed at levels of 0 to -spread_db dB, labelled by this module's rule."""
    levels = 10 ** (-rng.uniform(0, spread_db, len(stems)) / 20)
    rms = [frame_rms(stem) for stem in stems]
    # Equal loudness before the levels, whatever the parts' density.
    gains = [
        level / max(1e-4, float(np.percentile(r, 90))) for level, r in zip(levels, rms, strict=True)
    ]
    total = np.zeros_like(stems[0])
    for stem, gain in zip(stems, gains, strict=True):
        total += stem * np.float32(gain)
    floor = frame_rms(total).max() * 10 ** (AUDIBLE_DB / 20)
    labels = np.zeros(len(LABELS), np.bool_)
    for name, r, gain in zip(names, rms, gains, strict=True):
        audible = np.count_nonzero(r * gain > floor) * FRAME / RATE >= AUDIBLE_SECONDS
        labels[LABELS.index(name)] |= floor > 0 and audible
    return Take(total, labels)
