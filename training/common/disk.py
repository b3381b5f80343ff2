"""Preallocated arrays, new folders and cache folders, and the fingerprints of cached data."""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from common.atomic import atomic_folder
from common.strict_json import to_json
from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LAYOUT = 2
"""Raised whenever what is stored changes, so that older cached data is not used."""


def array_on_disk(
    path: Path, dtype: type[np.generic], shape: tuple[int, ...]
) -> np.memmap[Any, Any]:
    """Return a new .npy array to write into, with all of its disk space allocated.

    Raises MaterialError when the disk is too small for it: an error now, not a crash later.
    """
    try:
        array: np.memmap[Any, Any] = np.lib.format.open_memmap(path, "w+", dtype, shape)
        # A file with holes ends the process when a hole cannot be filled.
        if hasattr(os, "posix_fallocate"):
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        path.unlink(missing_ok=True)
        size = size_text(math.prod(shape) * np.dtype(dtype).itemsize)
        raise MaterialError(
            f"no room for {size} at {path} ({error.strerror}): free some, or name another "
            f"place, --set cache=DIR"
        ) from error
    return array


def size_text(count: int) -> str:
    """Return a number of bytes as text of three digits, such as 1.26 GB."""
    for power, unit in ((9, "GB"), (6, "MB"), (3, "kB")):
        if count >= 0.9995 * 10**power:
            return f"{float(f'{count / 10**power:.3g}'):,g} {unit}"
    return f"{count} bytes"


@contextmanager
def cache_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `folder` when the block ends without an error.

    A folder that another process made in the meantime is kept: its content is the same.
    """
    try:
        with atomic_folder(folder) as draft:
            yield draft
    except FileExistsError as error:
        if error.filename != str(folder) or not folder.is_dir():
            raise


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder that becomes `folder` when the block ends without an error.

    Raises MaterialError when `folder` exists, or another process is writing it.
    """
    if folder.exists():
        raise MaterialError(f"{folder} exists already: remove it, or name another")
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = folder.with_name(f".{folder.name}.lock")
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise MaterialError(f"another process is writing {folder}") from None
        try:
            with atomic_folder(folder) as draft:
                yield draft
        finally:
            lock.unlink()


def content_of(path: Path) -> str:
    """Return the SHA-256 of a file, 64 hex digits, read again when its size or time changes."""
    stat = path.stat()
    return _content_of(path.resolve(), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=100_000)
def _content_of(path: Path, size: int, changed: int) -> str:
    del size, changed
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(settings: object) -> str:
    """Return 16 hex digits of the settings (anything that JSON can hold) and of LAYOUT."""
    return hashlib.sha256(to_json([LAYOUT, settings], sort_keys=True).encode()).hexdigest()[:16]
