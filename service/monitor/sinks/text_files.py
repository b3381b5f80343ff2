"""Sinks that append to text files: JSON lines, CSV, Audacity's labels, Raven's selections."""

from __future__ import annotations

import asyncio
import csv
import io
import mmap
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeGuard

from common.strict_json import to_json
from common.terminal import escape
from service.archive.documents import document
from service.archive.paths import check_path, file_of
from service.archive.records import EventRecord, Record, time_of
from service.exports import RAVEN_COLUMNS

DAY_MS = 86_400_000
PIECE = 2**20
CSV_COLUMNS = (
    *("source", "start", "end", "label", "peak", "mean"),
    *("not_heard", "model", "version", "id"),
)
Lines: TypeAlias = Callable[[Record, int], str]
"""Returns the text of a record; also takes how many lines the file has. Empty: it has none."""


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """The settings of a sink that is a file."""

    path: str
    """May hold {source} and the codes of strftime (UTC) such as %Y-%m-%d, one file for each."""

    def __post_init__(self) -> None:
        """Raises Unprocessable if the path holds other braces."""
        check_path(self.path)


class TextFiles:
    """Appends lines to the files that a path stands for. One write and fsync for each batch."""

    def __init__(self, path: str, lines: Lines, *, head: str = "") -> None:
        """lines: of a record. head: the first line of every file."""
        self._path, self._lines, self._head = path, lines, head
        self._counts: dict[Path, int] = {}

    async def write(self, records: Sequence[Record]) -> int:
        """Append all records to their files. Raises OSError; then every file is as it was."""
        await asyncio.to_thread(self._write, records)
        return len(records)

    async def close(self) -> None:
        """Nothing is open between two batches."""

    def _write(self, records: Sequence[Record]) -> None:
        parts: dict[Path, list[str]] = {}
        for record in records:
            path = file_of(self._path, source=record.source, at_ms=time_of(record))
            lines = parts.setdefault(path, [])
            text = self._lines(record, self._count(path) + len(lines))
            if text and not (getattr(record, "again", False) and self._has(path, text)):
                lines.append(text)
        written: list[tuple[Path, int]] = []
        try:
            for path, lines in parts.items():
                if lines:
                    written.append((path, append(path, self._head, "".join(lines))))
        except OSError:
            for path, size in written:
                os.truncate(path, size)
            raise
        for path, _ in written:
            self._counts[path] = self._count(path) + len(parts[path])

    def _has(self, path: Path, text: str) -> bool:
        """Return whether a file has a line, whatever its number."""
        line = text.encode()
        wanted = line[line.index(b"\t") :] if self._lines is raven_line else b"\n" + line
        # A file that is not there, or empty, has none.
        with (
            suppress(FileNotFoundError, ValueError),
            path.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            return content[: len(line)] == line or content.find(wanted) >= 0
        return False

    def _count(self, path: Path) -> int:
        """Return how many records a file has."""
        if path not in self._counts:
            # Files of other days are written no more.
            if len(self._counts) > 100:
                self._counts.clear()
            self._counts[path] = max(0, _lines_of(path) - self._head.count("\n"))
        return self._counts[path]


def _lines_of(path: Path) -> int:
    """Return how many lines a file has, piece by piece: it may be that of years."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(PIECE), b""))


def append(path: Path, head: str, text: str) -> int:
    """Append text to a file, behind `head` in a new one; return its size before.

    Raises OSError; then the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a buffer: what a full disk does not take must not be tried again when it is closed.
    with path.open("ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        text = text if size else head + text
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            # Power went while a line was written.
            text = "\n" + text
        left = memoryview(text.encode())
        try:
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise
    return size


def json_line(record: Record, _: int) -> str:
    """Return a record as a line of JSON; times are RFC 3339 in UTC."""
    return to_json(document(record)) + "\n"


def csv_line(record: Record, _: int) -> str:
    """Return an event that has ended as a row of CSV; nothing for another record."""
    if not _ended(record):
        return ""
    values = document(record)
    text = io.StringIO()
    # A cell that begins so would be a formula to a spreadsheet.
    row = [plain(str(values[name])) for name in CSV_COLUMNS]
    csv.writer(text, lineterminator="\n").writerow(row)
    return text.getvalue()


def audacity_line(record: Record, _: int) -> str:
    """Return an event that has ended as a label of Audacity, in seconds of its day (UTC)."""
    if not _ended(record):
        return ""
    start, end = seconds_of_day(record)
    return _tabs([f"{start:.6f}", f"{end:.6f}", record.label])


def raven_line(record: Record, count: int) -> str:
    """Return an event that has ended as a selection of Raven, in seconds of its day (UTC)."""
    if not _ended(record):
        return ""
    start, end = seconds_of_day(record)
    times = (f"{start:.6f}", f"{end:.6f}")
    ends = ("0.0", "", record.source, times[0])
    return _tabs(
        [count + 1, "Spectrogram 1", 1, *times, *ends, record.label, record.peak, record.mean]
    )


def seconds_of_day(event: EventRecord) -> tuple[float, float]:
    """Return begin and end of an event that has ended, in seconds since midnight (UTC)."""
    assert event.end_ms is not None
    midnight = event.start_ms // DAY_MS * DAY_MS
    return (event.start_ms - midnight) / 1000, (event.end_ms - midnight) / 1000


def _ended(record: Record) -> TypeGuard[EventRecord]:
    return isinstance(record, EventRecord) and record.end_ms is not None


def plain(text: str) -> str:
    """Return the text of a cell so that a spreadsheet takes it for no formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _tabs(cells: Iterable[object]) -> str:
    return "\t".join(escape(cell) for cell in cells) + "\n"


CSV_HEAD = ",".join(CSV_COLUMNS) + "\n"
RAVEN_HEAD = "\t".join(RAVEN_COLUMNS) + "\n"
FORMS: dict[str, tuple[Lines, str]] = {
    "jsonl": (json_line, ""),
    "csv": (csv_line, CSV_HEAD),
    "audacity": (audacity_line, ""),
    "raven": (raven_line, RAVEN_HEAD),
}
"""By kind: how a record is written, and the first line of a file."""
