"""Numbers of one process in memory that others read; its successor goes on with them.

Nothing is lost when the writer is killed, and nothing grows when it is restarted. The memory holds:
the bytes of keys that are in use; the keys, one JSON line for each series: family, labels, index of
the first value, how many values; the values, doubles.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
from pathlib import Path
from typing import NamedTuple

from common.strict_json import to_json

Labels = tuple[str, ...]
VALUES = 16_384
"""Doubles in a slot."""
KEYS_END = 393_216
"""Where the keys end and the values begin, in bytes."""
SIZE = KEYS_END + 8 * VALUES
HEADER = 8
SUFFIX = ".slot"
"""Of the name of a file with a slot."""


class Series(NamedTuple):
    """Where the values of one family with one set of labels lie."""

    family: str
    labels: Labels
    first: int
    width: int
    """How many values."""


class SlotView:
    """A slot as it is read; `update` finds what was added since."""

    def __init__(self, memory: mmap.mmap) -> None:
        self.series: list[Series] = []
        self.values: memoryview[float] = memoryview(memory)[KEYS_END:].cast("d")
        self.used = HEADER
        """Bytes up to the end of the keys that are known."""
        self._memory = memory
        self.update()

    def update(self) -> None:
        """Read the keys that were added."""
        end = HEADER + int.from_bytes(self._memory[:HEADER], "little")
        for line in self._memory[self.used : end].splitlines():
            family, labels, first, width = json.loads(line)
            self.series.append(Series(family, tuple(labels), first, width))
        self.used = end

    @classmethod
    def of_file(cls, path: Path) -> SlotView:
        """Return the slot in a file. Raises OSError."""
        with path.open("rb") as file:
            return cls(mmap.mmap(file.fileno(), SIZE, access=mmap.ACCESS_READ))


class Slot:
    """A slot as it is written, by one thread of one process."""

    def __init__(self, path: Path | None = None) -> None:
        """path: of its file, with the numbers of an earlier process; None: memory of this process.

        Raises OSError.
        """
        self._memory = mmap.mmap(-1, SIZE) if path is None else _mapped(path)
        self.view = SlotView(self._memory)
        self.values = self.view.values
        """Any number of whole series; each double is written at once, also if we are killed."""
        self._free = max((each.first + each.width for each in self.view.series), default=0)

    def fits(self, family: str, labels: Labels, width: int, *, reserve: int = 0) -> bool:
        """Return whether another series can be added. reserve: values to be left free."""
        room = KEYS_END - self.view.used - (reserve and KEYS_END // 16)
        return self._free + width + reserve <= VALUES and len(_key(family, labels, 0, 0)) < room

    def add(self, family: str, labels: Labels, width: int) -> int:
        """Add a series of zeros; return the index of its first value. Raises ValueError if full."""
        if not self.fits(family, labels, width):
            raise ValueError(f"no room for {family} {labels}: the slot is full")
        key, end = _key(family, labels, self._free, width), self.view.used
        self._memory[end : end + len(key)] = key
        # Last, so that no reader sees half a key, not even of a process that was killed here.
        self._memory[:HEADER] = (end + len(key) - HEADER).to_bytes(HEADER, "little")
        self._free += width
        self.view.update()
        return self._free - width


def _key(family: str, labels: Labels, first: int, width: int) -> bytes:
    # Room for the longest numbers, so that the length does not depend on them.
    return f"[{to_json(family)},{to_json(labels)},{first:6d},{width:4d}]\n".encode()


def _mapped(path: Path) -> mmap.mmap:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # In full now: a process that later writes where a full disk has no room would be killed.
        if os.fstat(file).st_size < SIZE and os.pwrite(file, bytes(SIZE), 0) < SIZE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return mmap.mmap(file, SIZE)
    finally:
        os.close(file)
