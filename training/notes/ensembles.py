"""Who plays what in one window: a note, a solo, an ensemble made up or out of a score."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from training.common.labels import LABELS, RATE
from training.notes.mixtures import (
    PRE_ROLL,
    WINDOW,
    Take,
    fade_out,
    into_range,
    mix,
    section,
    sound_note,
)
from training.notes.phrases import Event, generate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.notes.library import Library
    from training.notes.sheet_music import Score

SAMPLES = PRE_ROLL + WINDOW
SECONDS = SAMPLES / RATE
FORMATIONS = (
    ("violin", "violin", "viola", "cello"),
    ("violin", "viola", "cello"),
    ("violin", "violin", "viola", "cello", "contrabass"),
    ("violin", "viola", "cello", "contrabass"),
    ("violin", "cello"), ("viola", "cello"), ("violin", "viola"), ("cello", "contrabass"),
    ("piano", "violin"), ("piano", "viola"), ("piano", "cello"), ("piano", "violin", "cello"),
    ("piano", "violin", "viola", "cello"), ("piano", "violin", "viola", "cello", "contrabass"),
    ("piano", "flute"), ("piano", "clarinet"), ("piano", "horn"), ("piano", "oboe"),
    ("piano", "bassoon"),
    ("piano", "clarinet", "cello"), ("piano", "violin", "horn"), ("piano", "flute", "cello"),
    ("harpsichord", "violin"), ("harpsichord", "flute"), ("harpsichord", "oboe"),
    ("harpsichord", "violin", "cello"),
    ("harpsichord", "flute", "cello"), ("harpsichord", "oboe", "bassoon"),
    ("harpsichord", "violin", "violin", "cello"),
    ("flute", "oboe", "clarinet", "horn", "bassoon"), ("flute", "clarinet", "bassoon"),
    ("oboe", "clarinet", "bassoon"),
    ("flute", "oboe"), ("clarinet", "bassoon"), ("horn", "bassoon"), ("oboe", "horn", "bassoon"),
    ("flute", "violin", "viola", "cello"), ("oboe", "violin", "viola", "cello"),
    ("clarinet", "violin", "viola", "cello"),
    ("horn", "violin", "viola", "viola", "cello"),
    ("clarinet", "horn", "bassoon", "violin", "cello"),
)  # fmt: skip


def take_note(
    library: Library, label: str, rng: np.random.Generator, *, exact: bool = False
) -> Take:
    """Return one note that begins before, at, or within the first half of the window.

    `exact`: as it was recorded. Else moved by up to a semitone and a half and now and then cut
    short.
    """
    notes = library.notes(label)
    index = int(notes[rng.integers(len(notes))])
    shortened = not exact and rng.random() < 0.4
    length = int(rng.uniform(0.2, 2.0) * RATE) if shortened else SAMPLES
    note = sound_note(
        library, index, samples=length, moved=0.0 if exact else rng.uniform(-1.5, 1.5)
    )
    fade_out(note, RATE // 50)
    early = rng.uniform(0, max(0.0, min(PRE_ROLL, len(note) - 0.3 * RATE)))
    begin = PRE_ROLL + int(rng.choice([0, -early, rng.uniform(0, WINDOW / 2)], p=[0.5, 0.2, 0.3]))
    samples = np.zeros(SAMPLES, np.float32)
    part = note[: SAMPLES - begin]
    samples[begin : begin + len(part)] = part
    labels = np.zeros(len(LABELS), np.bool_)
    labels[LABELS.index(label)] = True
    return Take(samples, labels)


def take_solo(library: Library, label: str, rng: np.random.Generator) -> Take:
    """Return a phrase of one instrument; drawn again while nothing of it would be labelled."""
    while True:
        stem = section(library, label, generate(label, SECONDS, rng), SAMPLES, rng)
        take = mix([stem], [label], rng, spread_db=0.0)
        if take.labels.any():
            return take


def take_mix(libraries: Sequence[Library], rng: np.random.Generator) -> Take:
    """Return two to five instruments with parts of their own, each from one of the libraries."""
    names = ensemble(sorted({label for library in libraries for label in library.labels}), rng)
    return _perform(libraries, names, [generate(name, SECONDS, rng) for name in names], rng)


def take_score(
    libraries: Sequence[Library], scores: Sequence[Score], rng: np.random.Generator
) -> Take:
    """Return an excerpt of a score, with the instruments as written or with random ones."""
    score = scores[int(rng.integers(len(scores)))]
    available = sorted({label for library in libraries for label in library.labels})
    written = list(score.labels)
    as_written = rng.random() < 0.5 and all(label in available for label in written)
    names = written if as_written else list(rng.permutation(ensemble(available, rng)))
    parts = score.excerpt(rng.uniform(0, max(0.0, score.seconds - SECONDS)), SECONDS)
    chosen = range(len(parts)) if as_written else sorted(rng.permutation(len(parts))[: len(names)])
    played = [into_range(parts[i], name) for i, name in zip(chosen, names, strict=False)]
    return _perform(libraries, names[: len(played)], played, rng)


def ensemble(available: Sequence[str], rng: np.random.Generator) -> list[str]:
    """Return the labels of two to five players: a formation that exists, or any combination."""
    known = [f for f in FORMATIONS if set(f) <= set(available)]
    if known and rng.random() < 0.5:
        return list(known[rng.integers(len(known))])
    size = int(rng.choice([2, 3, 4, 5], p=[0.4, 0.3, 0.2, 0.1]))
    return [str(name) for name in rng.choice(available, size=size, replace=size > len(available))]


def _perform(
    libraries: Sequence[Library],
    names: Sequence[str],
    parts: Sequence[Sequence[Event]],
    rng: np.random.Generator,
) -> Take:
    stems = []
    for name, events in zip(names, parts, strict=True):
        having = [library for library in libraries if name in library.labels]
        stems.append(section(having[int(rng.integers(len(having)))], name, events, SAMPLES, rng))
    return mix(stems, names, rng)
