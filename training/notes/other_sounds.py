"""Sounds that a model was not asked about: noises, tones, beats, and what is like speech or music.

They stand for everything that is none of the labels ("none of these").
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import signal

from training.common.labels import RATE
from training.notes import noises
from training.notes.mixtures import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.config import Samples
    from training.notes.noises import Wave

QUIETEST_DB = -40.0
"""Lowest peak; the highest is 0 dB."""
CHORDS = ((0, 4, 7), (0, 3, 7), (0, 5, 9), (0, 4, 9))
BEAT_S = (0.15, 0.6)
"""Shortest and longest time between notes."""


def music(rng: np.random.Generator) -> Wave:
    """Return a tune of plucked or held tones and chords, some with beats: no real instrument."""
    sound, time = np.zeros(WINDOW), 0.0
    beat, root = rng.uniform(*BEAT_S), rng.uniform(36, 60)
    richness, decay = rng.uniform(0.8, 2.5), np.exp(rng.uniform(np.log(0.3), np.log(12)))
    while time < WINDOW / RATE:
        first = round(time * RATE)
        steps = CHORDS[rng.integers(len(CHORDS))] if rng.random() < 0.5 else (rng.integers(25),)
        for step in steps:
            hertz = 440 * 2 ** ((root + step + 12 * rng.integers(2) - 69) / 12)
            sound[first:] += _tone(hertz, WINDOW - first, richness, decay, rng)
        time += beat * rng.choice([1, 1, 2])
    if rng.random() < 0.4:
        sound += noises.drums(rng) * rng.uniform(0.2, 1) * np.abs(sound).max()
    return sound


def _tone(
    hertz: float, samples: int, richness: float, decay: float, rng: np.random.Generator
) -> Wave:
    time = np.arange(samples) / RATE
    orders = np.arange(1, max(2, int(min(12, 10_000 / hertz)) + 1))
    strengths = orders**-richness * rng.uniform(0.3, 1, len(orders))
    waves = np.sin(2 * np.pi * hertz * orders[:, None] * time)
    shape = np.exp(-decay * time) * np.minimum(1, time / 0.01)
    tone: Wave = (strengths @ waves) * shape
    return tone


def squeals(rng: np.random.Generator) -> Wave:
    """Return noise through one narrow resonance that wanders: birds, brakes, a kettle."""
    centre = np.exp(rng.uniform(np.log(400), np.log(6000)))
    sound = np.zeros(WINDOW)
    for begin in range(0, WINDOW, WINDOW // 8):
        hertz = float(np.clip(centre * 2 ** rng.uniform(-0.5, 0.5), 100, 9000))
        top, below = signal.iirpeak(hertz, rng.uniform(10, 80), fs=RATE)
        piece = rng.standard_normal(min(WINDOW // 4, WINDOW - begin))
        sound[begin : begin + WINDOW // 4] += signal.lfilter(top, below, piece) * np.hanning(
            len(piece)
        )
    return sound


KINDS: dict[str, tuple[Callable[[np.random.Generator], Wave], ...]] = {
    "noise": (noises.coloured, noises.band, noises.wind, noises.room_tone, noises.clicks),
    "tones": (noises.tones, noises.hum, squeals),
    "like speech": (noises.voice, noises.babble),
    "beats": (noises.drums,),
    "like music": (music,),
}
"""What other sounds there are, each as often."""


def other_sound(kind: str, length: int, rng: np.random.Generator) -> Samples:
    """Return a sound of a kind, float32 (length,), peak between -40 and 0 dB."""
    makers, parts = KINDS[kind], []
    for _ in range(-(-length // WINDOW)):
        made = makers[rng.integers(len(makers))](rng)
        parts.append(made / max(1e-9, float(np.abs(made).max())))
    level = 10 ** (rng.uniform(QUIETEST_DB, 0) / 20)
    sound: Samples = (np.concatenate(parts)[:length] * level).astype(np.float32)
    return sound
