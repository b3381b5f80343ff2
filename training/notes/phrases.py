"""Plausible parts out of chance: what a player of one instrument might play for a few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from training.common.labels import RANGES

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = ("piano", "harpsichord")
STRINGS = ("violin", "viola", "cello", "contrabass")
_STEPS = np.array([-12, -7, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 7, 12])
_STEP_WEIGHTS = np.array([1, 2, 3, 3, 5, 12, 8, 9, 8, 12, 5, 3, 3, 2, 1]) / 77
_CHORDS = (
    (0, 4, 7),
    (0, 3, 7),
    (0, 5, 9),
    (0, 3, 8),
    (0, 4, 10),
    (0, 7, 12),
    (0, 12),
    (0, 4, 7, 12),
)


class Event(NamedTuple):
    """One note of a part: seconds, MIDI pitch, gain in dB."""

    onset: float
    duration: float
    pitch: float
    gain: float = 0.0


def generate(label: str, seconds: float, rng: np.random.Generator) -> list[Event]:
    """Return a part of about `seconds`; keyboards get two hands, strings double stops."""
    melody = list(_melody(label, seconds, rng))
    if label in KEYS and rng.random() < 0.7:
        return sorted(melody + list(_left_hand(label, seconds, rng)))
    if label in STRINGS and rng.random() < 0.15:
        low, high = RANGES[label]
        seconds_voice = [e._replace(pitch=e.pitch + rng.choice([3, 4, 5, 7, 8, 9])) for e in melody]
        return sorted(melody + [e for e in seconds_voice if low <= e.pitch <= high])
    return melody


def _melody(label: str, seconds: float, rng: np.random.Generator) -> Iterator[Event]:
    low, high = RANGES[label]
    centre = rng.uniform(low + 0.15 * (high - low), high - 0.2 * (high - low))
    pitch = centre
    slowest = 1.2 if label != "contrabass" else 2.0
    pace = float(np.exp(rng.uniform(np.log(0.12), np.log(slowest))))
    hold = rng.choice([0.35, 0.6, 0.9, 1.0, 1.08], p=[0.12, 0.13, 0.25, 0.3, 0.2])
    rests = rng.choice([0.0, 0.08, 0.25])
    rhythm = rng.choice([1.0, 1.0, 0.5, 2.0, 1.5], size=64)
    onset = -rng.uniform(0, pace)
    for i in range(512):
        length = pace * rhythm[i % 64] * rng.uniform(0.97, 1.03)
        if rng.random() >= rests:
            yield Event(max(0.0, onset), length * hold, round(pitch), rng.uniform(-6, 0))
        onset += length
        if onset >= seconds:
            return
        # Drawn back to the centre, so that a long part stays in its register.
        drift = (centre - pitch) * 0.08
        pitch = float(np.clip(pitch + rng.choice(_STEPS, p=_STEP_WEIGHTS) + drift, low, high))


def _left_hand(label: str, seconds: float, rng: np.random.Generator) -> Iterator[Event]:
    low, _ = RANGES[label]
    root = int(rng.integers(low + 2, low + 30))
    pace = float(np.exp(rng.uniform(np.log(0.25), np.log(2.0))))
    arpeggio = rng.random() < 0.5
    onset = -rng.uniform(0, pace)
    while onset < seconds:
        chord = _CHORDS[rng.integers(len(_CHORDS))]
        for i, step in enumerate(chord):
            delay = i * pace / len(chord) if arpeggio else rng.uniform(0, 0.02)
            begin = max(0.0, onset + delay)
            if begin < seconds:
                yield Event(begin, pace * rng.uniform(0.6, 1.0), root + step, rng.uniform(-10, -2))
        onset += pace
        root = int(np.clip(root + rng.choice([-5, -2, 0, 2, 5, 7]), low, low + 34))
