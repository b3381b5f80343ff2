"""Collections that are made: scores played by sound fonts, and windows mixed from single notes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.errors import TimbreError
from training.common.disk import content_of, fingerprint
from training.common.errors import MaterialError
from training.common.labels import LABELS, RATE
from training.common.paths import cache_root
from training.notes.render import INSTALL, Struck, families, installed_fonts, render, usable_labels
from training.notes.sheet_music import PROGRAMS, SUFFIXES, read
from training.notes.window_set import open_windows
from training.recordings.audio import write_wav
from training.recordings.collection import Clip, CollectionError, Interval, Problem, merge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from features.config import Samples
    from training.notes.sheet_music import Score
    from training.recordings.collection import Found
    from training.recordings.settings import CollectionSpec

VELOCITY = 88
PEAK_DB = -3.0
LAYOUT = 2
"""Raised whenever the same score and font would sound otherwise."""


def scores(path: Path, spec: CollectionSpec) -> Iterator[Found]:
    """Yield a clip per score (MusicXML or MIDI, a file or all in a folder) and sound font.

    Notes become intervals, fonts that share samples one source. A score is played up to
    `spec.longest` seconds, once for the content of both. A score with an instrument that a font
    does not have, or only pretends to have, is a problem.
    """
    files = (
        [path]
        if path.is_file()
        else sorted(one for one in path.rglob("*") if one.suffix.lower() in SUFFIXES)
    )
    fonts = [Path(font).expanduser() for font in spec.fonts] or list(installed_fonts())
    if absent := [font for font in fonts if not font.is_file()]:
        raise CollectionError(f"no sound font {absent[0]}")
    if not files:
        raise CollectionError(f"{path} holds no scores ({', '.join(sorted(SUFFIXES))})")
    if not fonts:
        raise CollectionError(f"no sound font to play scores with; run: {INSTALL}")
    into = folder_of(spec)
    for source, related in families(fonts).items():
        for font in related:
            usable = usable_labels(font)
            yield from (_played(file, font, source, usable, into, spec.longest) for file in files)


def folder_of(spec: CollectionSpec) -> Path:
    """Return the folder of sounds that are made."""
    into = Path(spec.into).expanduser() if spec.into else cache_root() / "rendered"
    return into.absolute()


def _played(
    file: Path, font: Path, source: str, usable: list[str], into: Path, longest: float
) -> Found:
    try:
        score = read(file)
    except MaterialError as error:
        return Problem(file, str(error))
    if not score.labels:
        return Problem(file, "no part for any of the instruments that are known")
    if missing := [label for label in score.labels if label not in usable]:
        return Problem(file, f"{font.name} has no {missing[0]} of its own")
    seconds = min(longest, score.seconds)
    what = [LAYOUT, file.name, content_of(file), font.name, content_of(font), seconds]
    wave = into / f"{file.stem}-{font.stem}-{fingerprint(what)[:8]}.wav"
    if not wave.is_file():
        write_wav(wave, play(score, font, seconds), rate=RATE)
    intervals = merge(
        Interval(event.onset, min(seconds, event.onset + event.duration), label)
        for label, events in zip(score.labels, score.excerpt(0.0, seconds), strict=True)
        for event in events
    )
    labels = tuple(sorted({one.label for one in intervals}))
    return Clip(wave, 0.0, seconds, labels, source, intervals)


def play(score: Score, font: Path, seconds: float) -> Samples:
    """Return the first seconds of a score, mono at 22,050 Hz, parts equally loud, peak -3 dB."""
    total = np.zeros(int(seconds * RATE), np.float32)
    for label, events in zip(score.labels, score.excerpt(0.0, seconds), strict=True):
        program = next(number for number, name in PROGRAMS.items() if name == label)
        struck = [Struck(e.onset, e.duration, round(e.pitch), VELOCITY) for e in events]
        stem = render(font, program, struck)[: len(total)] if struck else total[:0]
        loud = stem[np.abs(stem) > 1e-3]
        if len(loud):
            total[: len(stem)] += stem * np.float32(0.1 / np.sqrt(np.mean(np.square(loud))))
    return total * np.float32(10 ** (PEAK_DB / 20) / max(1e-6, float(np.abs(total).max())))


def mixtures(path: Path, spec: CollectionSpec) -> Iterator[Found]:
    """Yield a clip per window of a folder windows-FINGERPRINT of `training.notes.window_set`.

    Windows of several sources would tie the sources together, so they are left out, and a problem
    gives their number.
    """
    del spec
    try:
        windows = open_windows(path)
    except (OSError, KeyError, ValueError, TimbreError) as error:
        raise CollectionError(
            f"{path} holds no windows of training.notes.window_set: {error}"
        ) from error
    seconds = windows.samples.shape[1] / RATE
    joined: Counter[str] = Counter()
    for row, (source, on) in enumerate(zip(windows.source.tolist(), windows.labels, strict=True)):
        if "+" in source:
            joined[source] += 1
            continue
        labels = tuple(sorted(np.array(LABELS)[on].tolist()))
        yield Clip(path, 0.0, seconds, labels, source, inner=str(row))
    for source, count in sorted(joined.items()):
        yield Problem(
            path / source, f"{count} windows of several sources, which would tie these together"
        )
