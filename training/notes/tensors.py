"""Tensors of window sets, computed once, in parallel, by the function that serving uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from common.atomic import atomic_file
from features.config import DEFAULT
from features.extract import extract_many
from training.common.disk import array_on_disk

if TYPE_CHECKING:
    from pathlib import Path

    from features.config import Kind
    from training.common.progress import Progress
    from training.notes.window_set import WindowSet

_CHUNK = 256


def tensors(
    windows: WindowSet,
    *,
    kind: Kind,
    jobs: int = 1,
    progress: Progress | None = None,
) -> npt.NDArray[np.float32]:
    """Return the tensors of all windows, (n, *shape), read from disk when touched.

    features are float32; log-mel is kept as float16, which is within 0.06 dB.
    """
    path = windows.folder / f"{kind}-{DEFAULT.fingerprint(kind)[:16]}.npy"
    if not path.is_file():
        with atomic_file(path) as draft:
            _fill(windows, draft, kind=kind, jobs=jobs, progress=progress)
    table: npt.NDArray[np.float32] = np.load(path, mmap_mode="r")
    return table


def _fill(
    windows: WindowSet,
    path: Path,
    *,
    kind: Kind,
    jobs: int,
    progress: Progress | None,
) -> None:
    from joblib import Parallel, delayed

    dtype = np.float32 if kind == "features" else np.float16
    table = array_on_disk(path, dtype, (len(windows), *DEFAULT.shape(kind)))
    starts = range(0, len(windows), _CHUNK)
    # Threads: the work is FFTs and compiled loops, which release the interpreter lock.
    work = Parallel(n_jobs=jobs, prefer="threads", return_as="generator")
    for start, rows in zip(
        starts, work(delayed(_rows)(windows, start, kind) for start in starts), strict=True
    ):
        table[start : start + len(rows)] = rows
        if progress:
            progress(start + len(rows), len(windows))
    table.flush()


def _rows(windows: WindowSet, start: int, kind: Kind) -> npt.NDArray[np.float32]:
    return extract_many(windows.read(slice(start, start + _CHUNK)), kind=kind)
