"""Windows cut from clips: where each one begins, and what sounds in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from training.common.labels import RATE
from training.notes.mixtures import AUDIBLE_DB, AUDIBLE_SECONDS, FRAME
from training.recordings.collection import Interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.config import Samples
    from training.recordings.collection import Clip
    from training.recordings.settings import WindowSpec

Mask: TypeAlias = npt.NDArray[np.bool_]
Seconds: TypeAlias = npt.NDArray[np.float64]
AUDIBLE_SHARE = 0.15
"""Of a window shorter than 2 s, or of what a longer one holds of a short recording."""
SILENT = 1e-4
"""RMS up to which there is silence, -80 dB of full scale."""
TOLERANCE = 1e-3
"""Seconds that a window may miss at the end of its clip, and a label of its share."""


def starts(clip: Clip, spec: WindowSpec) -> Seconds:
    """Return where the windows of a clip begin, in seconds on the file's clock.

    They are inside the clip, `hop` apart from its beginning on; a clip shorter than a window
    has one, and one shorter than `shortest` none.
    """
    if clip.seconds < spec.shortest:
        return np.zeros(0)
    count = 1 + int(max(0.0, clip.seconds - spec.length + TOLERANCE) / spec.hop)
    return np.asarray(clip.start + spec.hop * np.arange(count), np.float64)


def labels(
    clip: Clip, at: Seconds, spec: WindowSpec, names: Sequence[str], *, speed: float = 1.0
) -> Mask:
    """Return which labels are on in the windows that begin `at`, (len(at), len(names)).

    The rule is `spec.rule`. speed: how many seconds of the clip one second of the window holds.
    """
    end = np.minimum(at + spec.length * speed, clip.end)
    sounding_s = np.zeros((len(at), len(names)))
    for one in clip.intervals or [Interval(clip.start, clip.end, label) for label in clip.labels]:
        sounding_s[:, names.index(one.label)] += np.maximum(
            0.0, np.minimum(end, one.end) - np.maximum(at, one.start)
        )
    least = np.maximum(spec.share * (end - at) - TOLERANCE, 1e-9)
    on: Mask = sounding_s >= least[:, None]
    return on


def cut(sound: Samples, clip: Clip, begin: float, *, samples: int, rate: int) -> Samples:
    """Return `samples` samples from `begin` s on, float32, zeros after the end of the clip."""
    first, last = round(begin * rate), min(round(clip.end * rate), len(sound))
    piece = sound[first : min(first + samples, last)]
    if len(piece) == samples:
        return piece
    return np.concatenate([piece, np.zeros(samples - len(piece), np.float32)])


def audible(
    sound: Samples,
    at: Seconds,
    length: float,
    *,
    end: float = np.inf,
    loud: Mask | None = None,
) -> Mask:
    """Return in which of the windows that begin `at` something sounds, (len(at),).

    That is: frames of 23 ms louder than -40 dB of the loudest one of the recording for 0.3 s, or
    15 % of what the window holds of the clip, where that is shorter. sound: the whole recording at
    22,050 Hz. length: of a window, in seconds. end: of the clip. loud: `loud_frames(sound)`, where
    they are known.
    """
    loud = loud_frames(sound) if loud is None else loud
    before = np.concatenate([[0], np.cumsum(loud)])
    until = np.minimum(at + length, min(end, len(sound) / RATE))
    first, last = (
        np.clip(np.rint(edge * RATE / FRAME).astype(int), 0, len(loud)) for edge in (at, until)
    )
    least = np.minimum(AUDIBLE_SECONDS, AUDIBLE_SHARE * (until - at)) * RATE / FRAME
    on: Mask = before[last] - before[first] >= np.maximum(least, 1e-9)
    return on


def loud_frames(sound: Samples) -> Mask:
    """Return which frames of 512 samples are above -40 dB of the loudest, and above -80 dB."""
    frames = np.pad(sound, (0, -len(sound) % FRAME)).reshape(-1, FRAME)
    power = np.einsum("ij,ij->i", frames, frames, dtype=np.float64)
    floor = max(power.max(initial=0) * 10 ** (AUDIBLE_DB / 10), FRAME * SILENT**2)
    loud: Mask = power > floor
    return loud
