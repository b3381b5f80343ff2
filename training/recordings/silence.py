"""Generated noise and silence: clips without a label, to train against false positives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.common.labels import RATE
from training.notes.mixtures import WINDOW
from training.notes.noises import FAMILIES, noise, silence
from training.recordings.audio import write_wav
from training.recordings.collection import Clip

if TYPE_CHECKING:
    from pathlib import Path

    from features.config import Samples

SOURCES = 9
"""So many that each part of a split has some."""
MOST = 1800
"""Pieces of one source, an hour."""
SILENT = 0.2
"""Share of the pieces that are silence, or nearly."""
LAYOUT = 1
"""Raised whenever the same number of pieces would sound otherwise."""


def clips(seconds: float, into: Path) -> list[Clip]:
    """Return clips without a label, of nine sources, about `seconds` in all; each is made once.

    Sources are of the two families of training.notes.noises in turn, at levels down to 60 dB below
    full scale.
    """
    pieces = min(MOST, max(2, round(seconds * RATE / WINDOW / SOURCES)))
    found = []
    for number in range(1, SOURCES + 1):
        wave = into / f"nothing-{number}-{pieces}-{LAYOUT}.wav"
        if not wave.is_file():
            rng = np.random.default_rng([number, LAYOUT])
            family = sorted(FAMILIES)[number % len(FAMILIES)]
            write_wav(wave, np.concatenate([_piece(family, rng) for _ in range(pieces)]), rate=RATE)
        found.append(Clip(wave, 0.0, pieces * WINDOW / RATE, (), f"nothing {number}"))
    return found


def _piece(family: str, rng: np.random.Generator) -> Samples:
    if rng.random() < SILENT:
        return silence(rng)
    return noise(family, rng) * np.float32(10 ** (rng.uniform(-60, 0) / 20))
