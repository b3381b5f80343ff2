"""Hand back the memory that only start-up needed."""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path

from service.log import log

LARGE = 4 * 2**20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""
MADV_PAGEOUT = 21
"""Linux 5.4 and later: drop these pages now; those of a file are read again when touched."""


def give_back() -> None:
    """Let go of what loading left free, and of the pages of libraries that it touched; does nothing beside Linux.

    A third of a fresh gateway's resident memory is code that never runs again, most of it LLVM's.
    Only read-only pages of files are dropped, so nothing is written and nothing can be lost.
    """
    maps = Path("/proc/self/maps")
    if not maps.exists():
        return
    libc = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):  # no glibc here
        libc.malloc_trim(0)
    for start, end in _read_only_files(maps.read_text(encoding="utf-8").splitlines()):
        if libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), MADV_PAGEOUT):
            log("memory is kept", why="this kernel knows no MADV_PAGEOUT")
            return


def let_go_of_large_blocks() -> None:
    """Have blocks of `LARGE` bytes and more returned to the system as soon as they are free; beside glibc, nothing.

    glibc begins to keep such blocks once some have been freed: after a few large pictures, hundreds
    of megabytes.
    """
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)
        # To set one of the two ends glibc's own adjusting of both: it would trim after every
        # picture.
        libc.mallopt(M_TRIM_THRESHOLD, 4 * LARGE)


def _read_only_files(lines: list[str]) -> Iterator[tuple[int, int]]:
    """Yield start and end of the mappings that are of a file and not writable (`man 5 proc`, maps)."""
    for line in lines:
        addresses, permissions, _, _, inode = line.split(maxsplit=5)[:5]
        if inode != "0" and "w" not in permissions:
            start, end = addresses.split("-")
            yield int(start, 16), int(end, 16)
