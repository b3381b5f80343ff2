"""Recordings cut by activity: windows lie where something sounds, not wherever the clock is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from training.common.labels import RATE
from training.notes.mixtures import FRAME
from training.recordings import audio
from training.recordings.collection import Clip, Collection, CollectionError, Problem, collect
from training.recordings.windows import loud_frames

if TYPE_CHECKING:
    from features.config import Samples
    from training.common.progress import Progress
    from training.recordings.settings import WindowSpec


def sounding(
    collection: Collection, spec: WindowSpec, progress: Progress | None = None
) -> Collection:
    """Return a collection whose clips are the stretches in which something sounds.

    That is: louder than -40 dB of the loudest 23 ms of the clip, with pauses up to a window. A
    stretch shorter than a window has as much around it as there is. Clips without a label, and
    those that know when each label sounds, stay as they are; so do recordings that cannot be read,
    for the table names them. Raises CollectionError where nothing sounds at all.
    """
    clips: list[Clip] = []
    problems = list(collection.problems)
    recordings = audio.Recordings(RATE)
    for number, clip in enumerate(collection.clips, 1):
        known = not clip.labels or clip.intervals
        found = [clip] if known else _stretches(clip, spec, recordings)
        clips += found
        if not found:
            problems.append(Problem(clip.path, "nothing sounds in it"))
        if progress:
            progress(number, len(collection.clips))
    return collect(clips, problems, collection.labels)


def _stretches(clip: Clip, spec: WindowSpec, recordings: audio.Recordings) -> list[Clip]:
    try:
        sound = recordings.read(clip.path, clip.inner)
    except CollectionError:
        return [clip]
    first, last = (round(edge * RATE) for edge in (clip.start, clip.end))
    return [
        replace(clip, start=clip.start + begin, end=min(clip.start + end, clip.end))
        for begin, end in stretches(sound[first:last], spec.length, least=spec.shortest)
    ]


def stretches(sound: Samples, length: float, *, least: float) -> list[tuple[float, float]]:
    """Return where something sounds, in seconds: stretches at least a window apart.

    least: seconds of sound; a stretch that has less is left out, but for the loudest where
    all have less. length: of a window; a shorter stretch is widened to it, inside the sound.
    """
    loud = np.flatnonzero(loud_frames(sound))
    if not len(loud):
        return []
    frame, seconds = FRAME / RATE, len(sound) / RATE
    parts = np.split(loud, np.flatnonzero(np.diff(loud) * frame > length) + 1)
    # A sound of n frames covers n + 1 where it begins inside one, as most do.
    long = [part for part in parts if (len(part) - 1) * frame >= least]
    found = []
    for part in long or [max(parts, key=lambda part: _peak(sound, part))]:
        begin, end = float(part[0]) * frame, min(float(part[-1] + 1) * frame, seconds)
        lacking = max(0.0, length - (end - begin))
        begin = max(0.0, min(begin - lacking / 2, seconds - length))
        found.append((begin, min(seconds, max(end, begin + length))))
    return found


def _peak(sound: Samples, frames: npt.NDArray[np.int64]) -> float:
    """Return the power of the loudest of these frames."""
    return max(
        float(np.square(sound[at * FRAME : (at + 1) * FRAME], dtype=np.float64).sum())
        for at in frames.tolist()
    )
