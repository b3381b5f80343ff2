"""Arrays on disk whose room is taken before the first row: a full disk is an error then, not a crash later."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from training.notes.library import MaterialError

if TYPE_CHECKING:
    from pathlib import Path


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
