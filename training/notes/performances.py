"""Performances whose onsets are known: parts with rests between phrases, of one library's notes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from training.common.labels import LABELS, RATE
from training.notes.mixtures import AUDIBLE_DB, AUDIBLE_SECONDS, FRAME, WINDOW, section
from training.notes.phrases import Event, generate

if TYPE_CHECKING:
    from features.config import Samples
    from training.notes.library import Library

SECONDS = 60
PARTS = 3
"""Labels of a performance, at most."""
PHRASE_S = (3.0, 9.0)
"""Shortest and longest phrase; the rests between them too."""
SPREAD_DB = 6.0
LENGTH = SECONDS * RATE // FRAME * FRAME


class Performance(NamedTuple):
    """A performance, dry, and what is audible in it by the rule of `mixtures`."""

    samples: Samples
    """(LENGTH,), peak 0.5."""
    audible: npt.NDArray[np.bool_]
    """(LENGTH / FRAME, labels)."""

    def intervals(self, label: str) -> list[tuple[float, float]]:
        """Return when a label is audible, start and end in seconds."""
        on = np.concatenate([[False], self.audible[:, LABELS.index(label)], [False]])
        edges = np.flatnonzero(np.diff(on)).reshape(-1, 2) * (FRAME / RATE)
        return [(float(start), float(end)) for start, end in edges]

    def windows(self, hop: int) -> npt.NDArray[np.bool_]:
        """Return the labels of windows `hop` samples, whole frames, apart: (windows, labels)."""
        frames = WINDOW // FRAME
        least = AUDIBLE_SECONDS * RATE / FRAME
        starts = range(0, (LENGTH - WINDOW) // FRAME + 1, hop // FRAME)
        return np.stack([self.audible[at : at + frames].sum(axis=0) >= least for at in starts])


def perform(library: Library, rng: np.random.Generator) -> Performance:
    """Return a performance of up to PARTS labels of a library."""
    names = [str(name) for name in rng.permutation(library.labels)[:PARTS]]
    levels = 10 ** (-rng.uniform(0, SPREAD_DB, len(names)) / 20)
    stems = [
        _at_level(section(library, name, _part(name, rng), LENGTH, rng), level)
        for name, level in zip(names, levels.tolist(), strict=True)
    ]
    total: Samples = np.stack(stems).sum(axis=0)
    floor = _frame_rms(total).max() * 10 ** (AUDIBLE_DB / 20)
    audible = np.zeros((LENGTH // FRAME, len(LABELS)), np.bool_)
    for name, stem in zip(names, stems, strict=True):
        audible[:, LABELS.index(name)] = _frame_rms(stem) > floor
    peak = max(1e-6, float(np.abs(total).max()))
    return Performance(total * np.float32(0.5 / peak), audible)


def _part(label: str, rng: np.random.Generator) -> list[Event]:
    """Return phrases with rests between them, from a random beginning on."""
    events, at = [], float(rng.uniform(0, PHRASE_S[1]))
    while at < SECONDS:
        length = float(rng.uniform(*PHRASE_S))
        events += [
            each._replace(onset=at + each.onset, duration=min(each.duration, length - each.onset))
            for each in generate(label, length, rng)
            if each.onset < length
        ]
        at += length + float(rng.uniform(*PHRASE_S))
    return events


def _at_level(stem: Samples, level: float) -> Samples:
    """Return the stem with the loudness of all stems, rests left out, times the level."""
    rms = _frame_rms(stem)
    loud = float(np.percentile(rms[rms > 0], 90)) if rms.any() else 1.0
    return stem * np.float32(level / max(1e-4, loud))


def _frame_rms(samples: Samples) -> Samples:
    frames = samples.reshape(-1, FRAME)
    rms: Samples = np.sqrt(np.einsum("ij,ij->i", frames, frames) / FRAME)
    return rms
