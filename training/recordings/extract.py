"""Tensors of recordings' windows: in parallel, cached by recording and variant, resumable.

Results are cached under a key of the recording (path, size, time), its clips, the
cut, the variant and the arithmetic. Nothing is computed twice, and no key ever holds half a file.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common.atomic import atomic_file
from common.strict_json import to_json
from features.config import AudioConfig
from features.extract import compute
from features.file_kinds import is_sound
from training.common.labels import RATE
from training.recordings import audio
from training.recordings import augment as variants
from training.recordings.collection import Clip, CollectionError, Problem
from training.recordings.table import DTYPES, disk_errors, write_npy
from training.recordings.windows import cut, starts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from features.config import Kind
    from training.common.progress import Progress
    from training.recordings.settings import AugmentSpec, SoundsRecipe, WindowSpec

LAYOUT = 1
"""Raised whenever what is stored under a key changes."""
_BLOCK = 256


@dataclass(frozen=True)
class Settings:
    """Everything but the recordings that decides a table's tensors."""

    windows: WindowSpec
    augment: AugmentSpec
    seed: int
    kinds: tuple[Kind, ...]
    background: str = ""
    """Changes when a sound below augment.background does."""

    @classmethod
    def of(cls, recipe: SoundsRecipe, kinds: tuple[Kind, ...]) -> Settings:
        """Return the settings of a recipe. Raises CollectionError for unknown variants."""
        variants.check_names(recipe.augment.variants)
        augment, background = recipe.augment, ""
        if augment.background:
            # Absolute, because processes that read it may have begun elsewhere.
            folder = Path(augment.background).expanduser().absolute()
            sounds = list(filter(is_sound, audio.below(folder)[0]))
            if not sounds:
                raise CollectionError(f"augment.background: no sounds in {folder}")
            augment = replace(augment, background=str(folder))
            background = hashlib.sha256(to_json(list(map(identity, sounds))).encode()).hexdigest()
        return cls(recipe.windows, augment, recipe.seed, kinds, background)

    @property
    def config(self) -> AudioConfig:
        """How sound becomes numbers."""
        return AudioConfig(window=round(self.windows.length * RATE))


class Task(NamedTuple):
    """One recording: its clips, and what of it is still to be computed."""

    path: Path
    inner: str
    clips: tuple[Clip, ...]
    missing: tuple[tuple[str, Kind, Path], ...]
    """Variant (empty: as it is), kind, and where the rows go."""
    rows: int


def identity(path: Path) -> list[Any]:
    """Return what changes when the file does: its path, size and time of change."""
    stat = path.stat()
    return [str(path.resolve()), stat.st_size, stat.st_mtime_ns]


def key(
    path: Path, inner: str, clips: Sequence[Clip], settings: Settings, *, variant: str, kind: Kind
) -> str:
    """Return the name, 40 hex digits, under which the rows of these clips are kept."""
    what: list[Any] = [LAYOUT, identity(path), inner, [[clip.start, clip.end] for clip in clips]]
    spec = settings.windows
    what += [spec.length, spec.hop, spec.shortest, kind, settings.config.fingerprint(kind)]
    if variant:
        what += [variants.VERSION, variant, settings.seed]
        what += [settings.background if variant == variants.OF_FOLDER else ""]
    return hashlib.sha256(to_json(what).encode()).hexdigest()[:40]


def fill(task: Task, settings: Settings) -> tuple[int, Problem | None]:
    """Compute what a recording lacks in the cache; return its rows, and any read problem."""
    try:
        sound = audio.read(task.path, task.inner, rate=RATE)
    except CollectionError as error:
        return task.rows, Problem(task.path / task.inner if task.inner else task.path, str(error))
    for variant, kind, file in task.missing:
        shape = (task.rows // len(task.missing), *settings.config.shape(kind))
        blocks = _blocks(sound, task, settings, variant=variant, kind=kind)
        with disk_errors(file.parent), atomic_file(file) as draft:
            write_npy(draft, shape, DTYPES[kind], blocks)
    return task.rows, None


def _blocks(
    sound: npt.NDArray[np.float32], task: Task, settings: Settings, *, variant: str, kind: Kind
) -> Iterator[npt.NDArray[np.float32]]:
    config = settings.config
    for clip in task.clips:
        at = starts(clip, settings.windows).tolist()
        for first in range(0, len(at), _BLOCK):
            block = at[first : first + _BLOCK]
            yield np.stack(
                [
                    compute(window(sound, clip, begin, settings, variant), kind=kind, config=config)
                    for begin in block
                ]
            )


def window(
    sound: npt.NDArray[np.float32], clip: Clip, begin: float, settings: Settings, variant: str = ""
) -> npt.NDArray[np.float32]:
    """Return the samples of one window of a recording, original or augmented."""
    size = settings.config.window
    if not variant:
        return cut(sound, clip, begin, samples=size, rate=RATE)
    seed = seed_of(clip, begin, settings.seed, variant)
    longer = int(np.ceil(size * variants.speed_of(variant, seed)))
    piece = cut(sound, clip, begin, samples=longer, rate=RATE)
    return variants.apply_variant(
        piece,
        variant,
        seed,
        length=size,
        background=settings.augment.background,
        content=settings.background,
    )


def seed_of(clip: Clip, begin: float, seed: int, variant: str) -> int:
    """Return the seed of one window, from the last three path names: a collection may move."""
    return variants.seed_of(seed, "/".join([*clip.path.parts[-3:], clip.inner]), begin, variant)


def compute_all(
    work: Sequence[Task], settings: Settings, *, jobs: int, progress: Progress | None
) -> tuple[Problem, ...]:
    """Compute what is missing, the largest recordings first; return what could not be read."""
    from joblib import Parallel, delayed

    total, done, problems = sum(task.rows for task in work), 0, []
    order = sorted(work, key=lambda task: -task.rows)
    # Threads are enough where the interpreter lock is released; audiomentations does not.
    prefer = "processes" if settings.augment.variants else "threads"
    parallel = Parallel(n_jobs=jobs, prefer=prefer, return_as="generator_unordered")
    for rows, problem in parallel(delayed(fill)(task, settings) for task in order):
        done += rows
        problems += [problem] if problem else []
        if progress:
            progress(done, total)
    return tuple(sorted(problems))
