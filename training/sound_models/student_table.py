"""A table of unlabelled windows on disk: their log-mel spectrograms, and a teacher's embeddings."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from features.config import DEFAULT
from features.extract import extract_many
from training.common.disk import array_on_disk, cache_folder, content_of, fingerprint
from training.common.errors import MaterialError
from training.notes.unlabelled import (
    VERSION,
    Generated,
    Sounds,
    contents,
    of_folder,
    of_font,
    window,
)
from training.sound_models import teacher_network
from training.sound_models.given_network import known

if TYPE_CHECKING:
    import numpy.typing as npt

    from training.common.progress import Stage

_CHUNK = 64


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What to draw, and the teacher."""

    teacher: Path
    """ONNX network from `mel` to `embedding` (`training.sound_models.teacher_network`)."""
    folders: tuple[Path, ...]
    fonts: tuple[Path, ...]
    weights: tuple[float, ...]
    """How often each folder is drawn from, then each font, then generated sound."""
    windows: int
    mixed: float
    """Share of windows of two sounds."""
    program: float
    """Seconds that each program of a font is played for."""
    seed: int


class Table(NamedTuple):
    """Rows of windows."""

    log_mel: npt.NDArray[np.float16]
    """(n, bands, frames), read from disk when touched."""
    embedding: npt.NDArray[np.float32]
    """(n, numbers)."""


def build(spec: Spec, into: Path, *, jobs: int, stage: Stage) -> Table:
    """Return the windows of a spec, drawn at the first call and kept in `into`.

    The same spec and material give the same windows whatever `jobs` is. Raises MaterialError for
    what cannot be read, a folder without recordings, a file that is no teacher.
    """
    for path in (*spec.folders, *spec.fonts):
        if not path.exists():
            raise MaterialError(f"{path}: not there")
    material = into / "material"
    with stage("recordings and sound fonts"):
        _kinds(spec, material)
    folder = into / f"unlabelled-{_fingerprint(spec)}"
    if not folder.is_dir():
        with (
            cache_folder(folder) as work,
            stage("windows, and what the teacher hears") as progress,
        ):
            _fill(work, spec, material, jobs=jobs, progress=progress)
    return Table(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in Table._fields))


def _fingerprint(spec: Spec) -> str:
    """Return 16 hex digits of all that decides the windows; paths do not."""
    found = {
        "teacher": known(spec.teacher),
        "folders": [contents(folder) for folder in spec.folders],
        "fonts": [content_of(font) for font in spec.fonts],
    }
    return fingerprint([VERSION, asdict(spec) | found])


def _kinds(spec: Spec, material: Path) -> list[Sounds | Generated]:
    return [
        *(of_folder(folder, material) for folder in spec.folders),
        *(of_font(font, spec.program, spec.seed, material) for font in spec.fonts),
        Generated(),
    ]


def _fill(folder: Path, spec: Spec, material: Path, *, jobs: int, progress: Any) -> None:
    network = teacher_network.open_teacher(spec.teacher)
    (size,) = teacher_network.embed(network, np.zeros((1, DEFAULT.window), np.float32)).shape[1:]
    mel = DEFAULT.shape("log_mel")
    array_on_disk(folder / "log_mel.npy", np.float16, (spec.windows, *mel))
    array_on_disk(folder / "embedding.npy", np.float32, (spec.windows, size))
    starts = range(0, spec.windows, _CHUNK)
    with ExitStack() as stack:
        draw = partial(_draw_chunk, folder, spec, material)
        if jobs > 1:
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(jobs, context, initializer=_one_thread)
            done = stack.enter_context(pool).map(draw, starts)
        else:
            done = map(draw, starts)
        for end in done:
            progress(end, spec.windows)


@cache
def _opened(spec: Spec, material: Path) -> tuple[list[Sounds | Generated], Any]:
    return _kinds(spec, material), teacher_network.open_teacher(spec.teacher)


def _draw_chunk(folder: Path, spec: Spec, material: Path, start: int) -> int:
    kinds, network = _opened(spec, material)
    end = min(start + _CHUNK, spec.windows)
    drawn = [
        window(kinds, spec.weights, spec.mixed, np.random.default_rng([spec.seed, number]))
        for number in range(start, end)
    ]
    mel = np.lib.format.open_memmap(folder / "log_mel.npy", "r+")
    mel[start:end] = extract_many(drawn, kind="log_mel")
    embedding = np.lib.format.open_memmap(folder / "embedding.npy", "r+")
    for first in range(start, end, 8):
        some = np.stack(drawn[first - start : first - start + 8])
        embedding[first : first + len(some)] = teacher_network.embed(network, some)
    return end


def _one_thread() -> None:
    os.environ["OMP_NUM_THREADS"] = "1"
