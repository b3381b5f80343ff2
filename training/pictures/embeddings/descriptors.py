"""Descriptors: the output of a network's layer for each picture of a pack, as HDF5."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from common.atomic import atomic_file
from common.errors import Unprocessable
from common.strict_json import to_json
from models.session import Session
from training.common.errors import MaterialError
from training.pictures.dataset.folders import some

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from training.common.progress import Progress
    from training.pictures.dataset.packed import Pack

PART = 256
"""Pictures whose descriptors are written at once: the work that a kill loses at most."""
BATCH = 16
Matrix = npt.NDArray[np.float32]


def extract(pack: Pack, graph: bytes, folder: Path, *, progress: Progress) -> Path:
    """Return the HDF5 file, below `folder`, of the descriptors of a pack; made once, resumable.

    graph: from uint8 pictures of the pack's size to float32 (n, numbers), as
    `training.pictures.embeddings.layer_onnx` makes it. The file holds `descriptors` (n, numbers),
    `labels` (n,), `paths` (n,), and `classes`, rows in the pack's order. Raises MaterialError when
    the graph takes pictures of another size, and for pictures that it gives no finite numbers for.
    """
    target = folder / f"{_key(pack, graph)}.h5"
    if target.exists():
        return target
    parts = target.with_suffix(".parts")
    parts.mkdir(parents=True, exist_ok=True)
    session, total = Session(graph), len(pack.images)
    starts = range(0, total, PART)
    files = [parts / f"{start:09d}.npy" for start in starts]
    for start, part in zip(starts, files, strict=True):
        if not part.exists():
            values = describe(session, pack.images[start : start + PART])
            _check_finite(values, [one.path for one in pack.pictures[start : start + PART]])
            with atomic_file(part) as draft:
                np.save(draft, values)
        progress(min(total, start + PART), total)
    with atomic_file(target) as draft:
        _join(draft, files, pack)
    shutil.rmtree(parts, ignore_errors=True)
    return target


def _check_finite(values: Matrix, paths: Sequence[str]) -> None:
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise MaterialError(
            "the network gives descriptors that are infinite or not a number for "
            f"{some([paths[at] for at in wrong.tolist()])}; a network that divides by the level or "
            "the contrast of a picture needs a small number in the divisor"
        )


def describe(session: Session, images: npt.NDArray[np.uint8]) -> Matrix:
    """Return the descriptors of pictures. Raises MaterialError for pictures of another size."""
    batches = [np.asarray(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    try:
        return np.concatenate([session.predict(batch) for batch in batches])
    except Unprocessable as error:
        raise MaterialError(f"pictures of another size than the network's: {error}") from error


def read(path: Path) -> Matrix:
    """Return the descriptors of a file. Raises MaterialError when it has none."""
    import h5py

    try:
        with h5py.File(path) as file:
            values: Matrix = file["descriptors"][:]
            return values
    except (OSError, KeyError) as error:
        raise MaterialError(f"{path} holds no descriptors: {error}; remove it") from error


def _key(pack: Pack, graph: bytes) -> str:
    digest = hashlib.sha256(graph)
    digest.update(to_json(pack.about.get("config"), sort_keys=True).encode())
    digest.update(
        to_json(
            [*pack.table.sha256.tolist(), *(picture.path for picture in pack.pictures)]
        ).encode()
    )
    return digest.hexdigest()[:20]


def _join(draft: Path, files: Sequence[Path], pack: Pack) -> None:
    import h5py

    matrices = [np.load(file, mmap_mode="r") for file in files]
    with h5py.File(draft, "w") as file:
        shape = (len(pack.images), matrices[0].shape[1])
        whole = file.create_dataset(
            "descriptors", shape, "f4", chunks=(min(PART, shape[0]), shape[1])
        )
        for number, matrix in enumerate(matrices):
            whole[number * PART : number * PART + len(matrix)] = matrix
        text = h5py.string_dtype()
        file.create_dataset("labels", data=pack.labels)
        file.create_dataset("classes", data=pack.classes, dtype=text)
        file.create_dataset("paths", data=[picture.path for picture in pack.pictures], dtype=text)
