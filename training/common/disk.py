"""Arrays on disk whose room is taken before the first row: a full disk is an error then, not a crash later."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterator


def array_on_disk(
    path: Path, dtype: type[np.generic], shape: tuple[int, ...]
) -> np.memmap[Any, Any]:
    """Return a new .npy array to write into. Raises MaterialError when the disk has no room for all of it."""
    try:
        array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)
        # A file with holes ends the process when a hole cannot be filled.
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        size = math.prod(shape) * np.dtype(dtype).itemsize / 1e9
        raise MaterialError(
            f"no room for {size:.2g} GB at {path} ({error.strerror}): free some, or name another place, --set cache=DIR"
        ) from error
    return array


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to write into that becomes `folder` when all went well, and vanishes otherwise."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    _sweep(folder.parent)
    work = Path(
        tempfile.mkdtemp(dir=folder.parent, prefix=f".unfinished-{platform.node()}-{os.getpid()}-")
    )
    try:
        yield work
        work.chmod(0o755)
        # Another process may have made the same in the meantime; it is as good as ours.
        if not folder.is_dir():
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def fingerprint(settings: object) -> str:
    """Return 16 hex digits that stand for settings (anything JSON can hold) and the layout of this file."""
    return hashlib.sha256(json.dumps([LAYOUT, settings], sort_keys=True).encode()).hexdigest()[:16]


# Raised whenever what is stored changes, so that no older library is taken for a new one.
LAYOUT = 2


def _sweep(folder: Path) -> None:
    """Remove what processes of this machine that were killed have left."""
    mine = f".unfinished-{platform.node()}-"
    for left in folder.glob(f"{mine}*"):
        if not _alive(int(left.name.removeprefix(mine).partition("-")[0])):
            shutil.rmtree(left, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
