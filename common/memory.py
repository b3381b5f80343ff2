"""Has glibc return freed memory to the system; with another C library nothing happens."""

from __future__ import annotations

import contextlib
import ctypes

MEDIUM, LARGE = 2**19, 4 * 2**20
"""Bytes."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Of mallopt(3)."""


def trim() -> None:
    """Return free memory to the system: glibc keeps 50 MB after it has read a forest of 9 MB."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def return_large_blocks() -> None:
    """Return blocks of `LARGE` bytes and more to the system as soon as they are freed.

    glibc keeps such blocks once some have been freed: hundreds of megabytes after a few large
    pictures.
    """
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, LARGE)
        # Setting one of the two stops glibc from adjusting both: it would trim after every picture.
        libc.mallopt(M_TRIM_THRESHOLD, 4 * LARGE)


def share_one_heap() -> None:
    """Have all threads allocate from one heap; to be called before the first of them starts.

    glibc gives each thread a heap of its own, and what is free in one is used by no other: 18 MB
    after a forest was loaded in a thread.
    """
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(M_ARENA_MAX, 1)
        # By default it takes large blocks from the heap as well once some have been freed, and
        # what is allocated after them keeps the heap large.
        libc.mallopt(M_MMAP_THRESHOLD, MEDIUM)
        libc.mallopt(M_TRIM_THRESHOLD, 4 * LARGE)
