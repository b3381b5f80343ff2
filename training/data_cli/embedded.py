"""Windows of recordings as numbers to compare them by, computed once.

By a network given by path, or without one by Timbre's own 26 features.
"""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from common.atomic import atomic_file
from common.strict_json import to_json
from features.config import AudioConfig
from features.extract import extract_many
from training.common.errors import MaterialError
from training.common.labels import RATE
from training.common.paths import cache_root
from training.common.standard import mean_and_scale
from training.notes.other_sounds import KINDS, other_sound
from training.recordings import audio
from training.recordings.collection import Clip, CollectionError, Problem
from training.recordings.windows import Mask, audible, cut, loud_frames, starts
from training.sound_models.embedding import BATCH, Backbone, open_backbone
from training.sound_models.given_network import known, path_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from features.config import Samples
    from training.common.progress import Progress
    from training.recordings.settings import WindowSpec

Array = npt.NDArray[np.float32]
LAYOUT = 2
"""Raised whenever what is stored under a key changes."""
FEW = 40
"""Different windows; of fewer, features are standardised together with those of other sounds."""
_EACH = 8
_LEAST_SCALE = 1e-6


@dataclass(frozen=True)
class Describer:
    """What turns windows into numbers."""

    config: AudioConfig
    backbone: Backbone | None
    version: str
    """Of the network's file, or of the features."""

    @property
    def name(self) -> str:
        """What a person is told."""
        if self.backbone:
            return f"embeddings of {self.backbone.name}"
        return "Timbre's 26 features, standardised (no --backbone)"

    def __call__(self, windows: Sequence[npt.NDArray[np.float32]]) -> Array:
        """Return (n, numbers) of windows of one length. Raises MaterialError."""
        if self.backbone:
            return self.backbone.of_samples(windows, self.config)
        return extract_many(windows, config=self.config)


def describer(backbone: str, *, length: float) -> Describer:
    """Return what describes windows of so many seconds.

    backbone: a file or the name of a shipped one; "" for the features.

    Raises MaterialError for a file that is no such network.
    """
    config = AudioConfig(window=round(length * RATE))
    if not backbone:
        return Describer(config, None, config.fingerprint("features"))
    path = path_of(backbone)
    return Describer(config, open_backbone(path, window=config.window), known(path))


class EmbeddedWindows(NamedTuple):
    """Windows of some clips in which something sounds."""

    clip: npt.NDArray[np.int64]
    """Index of the clip of each window, (n,)."""
    start: npt.NDArray[np.float64]
    """Seconds from the file's beginning, (n,)."""
    rows: Array
    """(n, numbers)."""


def embed(
    clips: Sequence[Clip],
    spec: WindowSpec,
    describe: Describer,
    *,
    cache: str = "",
    progress: Progress | None = None,
) -> tuple[EmbeddedWindows, list[Problem]]:
    """Return the windows of clips in which something sounds, and what cannot be used.

    They are kept under the content of the recording and the version of what describes them. Clips
    of one recording that follow each other decode it once, if at all. cache: folder; "" for the
    usual one. Raises CollectionError when no window is left.
    """
    root = cache_root(cache) / "embeddings"
    problems: list[Problem] = []
    found: list[tuple[int, npt.NDArray[np.float64], Array]] = []
    numbered = enumerate(clips)
    for (path, inner), here in groupby(numbered, key=lambda one: (one[1].path, one[1].inner)):
        recording = _Recording(path, inner)
        for number, clip in here:
            try:
                start, rows = _kept(recording, clip, spec, describe, root)
            except MaterialError as error:
                problems.append(Problem(path / inner if inner else path, str(error)))
            else:
                found.append((number, start, rows))
            if progress:
                progress(number + 1, len(clips))
    if not any(len(start) for _, start, _ in found):
        first = f"; the first problem: {problems[0].path}: {problems[0].why}" if problems else ""
        raise CollectionError(f"nothing sounds in any of {len(clips):,} recordings{first}")
    return (
        EmbeddedWindows(
            np.concatenate([np.full(len(start), number) for number, start, _ in found]),
            np.concatenate([start for _, start, _ in found]),
            np.concatenate([rows for _, start, rows in found if len(start)]),
        ),
        list(dict.fromkeys(problems)),
    )


def silent(
    clips: Sequence[Clip], windows: EmbeddedWindows, problems: Sequence[Problem]
) -> list[Clip]:
    """Return the clips that were read, and have no window in which something sounds."""
    heard, known = set(windows.clip.tolist()), {one.path for one in problems}
    return [
        clip
        for number, clip in enumerate(clips)
        if number not in heard and recording_of(clip) not in known
    ]


def recording_of(clip: Clip) -> Path:
    """Return the path of a clip's recording, with its name inside a file of several."""
    return clip.path / clip.inner if clip.inner else clip.path


class _Recording:
    """What the clips of one recording share, read when a clip needs it."""

    def __init__(self, path: Path, inner: str) -> None:
        self._path, self._inner = path, inner
        self._decoder = audio.Recordings(RATE)

    @property
    def sound(self) -> Samples:
        return self._decoder.read(self._path, self._inner)

    @cached_property
    def loud(self) -> Mask:
        return loud_frames(self.sound)

    @cached_property
    def content(self) -> str:
        """What changes when the sound does."""
        try:
            if self._path.is_dir():
                stat = (self._path / "samples.npy").stat()
                return f"{self._path.resolve()} {stat.st_size} {stat.st_mtime_ns}"
            with self._path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise CollectionError(f"cannot be read: {error.strerror}") from error


def _kept(
    recording: _Recording, clip: Clip, spec: WindowSpec, describe: Describer, root: Path
) -> tuple[npt.NDArray[np.float64], Array]:
    key = _key(recording.content, clip, spec, describe)
    file = root / key[:2] / f"{key}.npz"
    try:
        with np.load(file) as kept:
            return kept["start"], kept["rows"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        # Not there, or without its content after a power loss.
        start, rows = _computed(recording, clip, spec, describe)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(file) as draft, draft.open("wb") as stream:
        np.savez(stream, start=start, rows=rows)
    return start, rows


def _key(content: str, clip: Clip, spec: WindowSpec, describe: Describer) -> str:
    what = [LAYOUT, content, clip.inner, clip.start, clip.end]
    what += [spec.length, spec.hop, spec.shortest, describe.version]
    return hashlib.sha256(to_json(what).encode()).hexdigest()[:40]


def _computed(
    recording: _Recording, clip: Clip, spec: WindowSpec, describe: Describer
) -> tuple[npt.NDArray[np.float64], Array]:
    sound, at = recording.sound, starts(clip, spec)
    at = at[audible(sound, at, spec.length, end=clip.end, loud=recording.loud)]
    size = describe.config.window
    blocks = [
        describe(
            [
                np.asarray(cut(sound, clip, begin, samples=size, rate=RATE), np.float32)
                for begin in at[first : first + BATCH].tolist()
            ]
        )
        for first in range(0, len(at), BATCH)
    ]
    return at, np.concatenate(blocks) if blocks else np.zeros((0, 0), np.float32)


def scale_of(rows: Array, describe: Describer) -> Array:
    """Return what the features of some windows are standardised over.

    These windows, and, where few of them differ, generated sounds: one window, or copies of it,
    have no deviation, and two are opposites whatever they hold.
    """
    if describe.backbone or len(np.unique(rows, axis=0)) >= FEW:
        return rows
    rng, size = np.random.default_rng(0), describe.config.window
    made = [other_sound(kind, size, rng) for kind in KINDS for _ in range(_EACH)]
    return np.concatenate([rows, describe(made)])


def directions(rows: Array, describe: Describer, *, like: Array | None = None) -> Array:
    """Return rows of length 1, whose products are cosines.

    Features are standardised over `like`, by default the rows themselves, because each has a unit
    of its own.
    """
    if not describe.backbone:
        given = rows if like is None else like
        mean, scale = mean_and_scale(given)
        rows = ((rows - mean) / scale).astype(np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, _LEAST_SCALE), np.float32)
