"""Scores of whole recordings, in windows as in serving: notes, solos, an ensemble.

A recording has the mean score of its windows; its prediction is the label with the highest one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from features.config import DEFAULT, AudioConfig
from features.extract import extract_many
from features.streaming import StreamingExtractor
from training.common.labels import LABELS, RATE
from training.notes.library import decode_file
from training.notes.mixtures import section, sound_note
from training.notes.phrases import generate

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from features.config import Kind, Samples
    from training.evaluation.leave_one_out import Fitted
    from training.evaluation.metrics import Metrics, Scores
    from training.notes.library import Library

NOTES = 60
"""Files of single notes per label, at most."""
SOLOS = 20
"""Per label."""
SECONDS = 10
"""Of a solo."""
LIVE_HOP_S = 0.5
"""Hop of streams, if they ask for no other."""
BLOCK = 1024
"""Windows that are scored at a time, so that their tensors need not fit into memory."""


def evaluate(fitted: Fitted, library: Library, *, kind: Kind, seed: int) -> Metrics:
    """Return top-1 per recording of a source's notes as they are, and of solos played with them."""
    rng = np.random.default_rng([seed, SECONDS])
    right: dict[str, list[bool]] = {"note": [], "solo": []}
    for label in library.labels:
        for what, sounds in (
            ("note", list(notes(library, label, rng))),
            ("solo", solos(library, label, rng)),
        ):
            answers = clip_scores(fitted, sounds, kind=kind).argmax(axis=1)
            right[what] += (answers == LABELS.index(label)).tolist()
    return {
        "recordings": sum(map(len, right.values())),
        **{f"top1_recording_{what}": float(np.mean(each)) for what, each in right.items()},
    }


def notes(library: Library, label: str, rng: np.random.Generator) -> Iterator[Samples]:
    """Yield single notes of a label from beginning to end, each at most once."""
    for index in rng.permutation(library.notes(label))[:NOTES].tolist():
        yield sound_note(library, index, samples=int(library.length(index)))


def solos(library: Library, label: str, rng: np.random.Generator) -> list[Samples]:
    """Return solos of one label, performed with the library's notes and without any room."""
    length = SECONDS * RATE
    stems = [
        section(library, label, generate(label, SECONDS, rng), length, rng) for _ in range(SOLOS)
    ]
    return [stem / np.float32(np.abs(stem).max()) for stem in stems if stem.any()]


def clip_scores(fitted: Fitted, sounds: Sequence[Samples], *, kind: Kind) -> Scores:
    """Return the mean score over the windows of each sound, (sounds, labels)."""
    parts = [windows_of(sound) for sound in sounds]
    scores = fitted.scores(extract_many([window for part in parts for window in part], kind=kind))
    ends = np.cumsum([len(part) for part in parts])
    return np.stack([each.mean(axis=0) for each in np.split(scores, ends[:-1])])


def live_scores(
    fitted: Fitted, sound: Samples, *, kind: Kind, config: AudioConfig = DEFAULT
) -> Scores:
    """Return the scores of the windows that a stream of the sound has, (windows, labels).

    They begin config.live_hop(LIVE_HOP_S) samples apart. The sound has at least one.
    """
    hop = config.live_hop(LIVE_HOP_S)
    extractor, size = StreamingExtractor(config, hop=hop, kind=kind), BLOCK * hop
    parts = []
    for first in range(0, len(sound), size):
        windows = extractor.feed(sound[first : first + size])
        tensors = [window.tensor for window in windows if window.tensor is not None]
        parts += [fitted.scores(np.stack(tensors))] if tensors else []
    return np.concatenate(parts)


def windows_of(sound: Samples) -> list[Samples]:
    """Return the windows of a clip one after another; a rest of half a window makes one more."""
    whole, left = divmod(len(sound), DEFAULT.window)
    windows = list(sound[: whole * DEFAULT.window].reshape(whole, DEFAULT.window))
    if not whole or 2 * left >= DEFAULT.window:
        windows.append(np.pad(sound[len(sound) - left :], (0, DEFAULT.window - left)))
    return windows


def ensemble(
    folder: Path,
    playing: Sequence[str],
    fitted: Fitted,
    *,
    kind: Kind,
    thresholds: npt.NDArray[np.float32],
) -> dict[str, Any]:
    """Return the share of windows per label in a folder of recordings in which `playing` play."""
    windows = []
    for path in sorted(folder.iterdir()):
        sound = decode_file(path)
        starts = range(0, len(sound) - DEFAULT.window + 1, DEFAULT.sample_rate)
        windows += [sound[start : start + DEFAULT.window] for start in starts]
    on = fitted.scores(extract_many(windows, kind=kind)) >= thresholds
    right = np.isin(LABELS, playing)
    return {
        "windows": len(windows),
        "share_by_label": dict(zip(LABELS, on.mean(axis=0).tolist(), strict=True)),
        "some_right_label": float(on[:, right].any(axis=1).mean()),
        "some_wrong_label": float(on[:, ~right].any(axis=1).mean()),
    }
