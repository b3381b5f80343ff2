"""The archive: events and coverage side by side in SQLite databases."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from common.errors import Unprocessable
from service.archive.paths import file_of
from service.archive.records import (
    MINUTE_MS,
    EventRecord,
    MinuteRecord,
    ProblemRecord,
    Record,
    milliseconds,
    rfc3339,
    time_of,
)

T = TypeVar("T")

HOUR_MS = 3_600_000
LONGEST_GAP_MS = 366 * 24 * HOUR_MS
"""Between two minutes, up to which those that are missing are added. A longer one is of a clock
that was wrong, as that of a board without a battery."""
MAX_ADDED = LONGEST_GAP_MS // MINUTE_MS
"""Missing minutes that one batch of another machine may add."""
MAX_JOINED = 10_000
"""Databases and sources that are remembered as joined."""
BUSY_S = 5.0
"""Seconds to wait for another program that writes."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, label TEXT NOT NULL,
    start TEXT NOT NULL, "end" TEXT, peak REAL NOT NULL, mean REAL NOT NULL,
    not_heard REAL NOT NULL, model TEXT NOT NULL, version TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS events_by_start ON events (start);
CREATE TABLE IF NOT EXISTS coverage (
    source TEXT NOT NULL, minute TEXT NOT NULL, heard_ms INTEGER NOT NULL,
    silent_ms INTEGER NOT NULL, clipped_ms INTEGER NOT NULL, not_connected_ms INTEGER NOT NULL,
    PRIMARY KEY (source, minute)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dropped (
    source TEXT NOT NULL, minute TEXT NOT NULL, reason TEXT NOT NULL, dropped_ms INTEGER NOT NULL,
    PRIMARY KEY (source, minute, reason)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS recordings (
    source TEXT NOT NULL, minute TEXT NOT NULL, recording TEXT NOT NULL,
    PRIMARY KEY (source, minute, recording)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS problems (
    source TEXT NOT NULL, at TEXT NOT NULL, problem TEXT NOT NULL, detail TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS senders (
    sender TEXT PRIMARY KEY, batch INTEGER NOT NULL
) WITHOUT ROWID;
"""
LAST_BATCH = "SELECT batch FROM senders WHERE sender = ?"
# A batch that is sent again changes no row.
BATCH = """
INSERT INTO senders VALUES (?, ?) ON CONFLICT (sender)
    DO UPDATE SET batch = excluded.batch WHERE excluded.batch > senders.batch
"""
EVENT = """
INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
    "end" = excluded."end", peak = excluded.peak, mean = excluded.mean,
    not_heard = excluded.not_heard, version = excluded.version
WHERE excluded."end" IS NOT NULL OR events."end" IS NULL
"""
# A minute that is told twice began before a restart and went on behind it, or has two recordings.
MINUTE = """
INSERT INTO coverage VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source, minute) DO UPDATE SET
    heard_ms = heard_ms + excluded.heard_ms, silent_ms = silent_ms + excluded.silent_ms,
    clipped_ms = clipped_ms + excluded.clipped_ms, not_connected_ms = excluded.not_connected_ms
"""
ROOM = "SELECT not_connected_ms FROM coverage WHERE source = ? AND minute = ?"
RECORDING = "INSERT INTO recordings VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
DROPPED = """
INSERT INTO dropped VALUES (?, ?, ?, ?) ON CONFLICT (source, minute, reason)
    DO UPDATE SET dropped_ms = dropped_ms + excluded.dropped_ms
"""
LAST = "SELECT max(minute) FROM coverage WHERE source = ? AND minute < ?"
LAST_TOLD = """
SELECT (SELECT max(minute) FROM coverage WHERE source = :source AND minute < :until),
    (SELECT min(start) FROM events WHERE source = :source AND start < :until)
"""
# Nobody was there to tell of these minutes.
MISSING = "INSERT INTO coverage VALUES (?, ?, 0, 0, 0, 60000) ON CONFLICT DO NOTHING"


class ArchiveError(OSError):
    """A database takes no records: it is locked, damaged, or the disk is full."""


class Archive:
    """Writes to the databases that a path stands for, one at a time, with write-ahead logs.

    Others may read meanwhile. Between the first and the last minute of a source none is missing,
    for a year and over all databases: those in which no monitor ran are not connected.
    """

    def __init__(self, path: str) -> None:
        """path: may hold the codes of strftime such as %Y-%m, for one database each."""
        self._path = path
        self._open: tuple[Path, sqlite3.Connection] | None = None
        self._joined: set[tuple[Path, str]] = set()
        """Databases and sources whose minutes go on from those of the database before."""
        self._added = 0
        """Missing minutes in what is being written."""
        self._most_added: int | None = None

    async def write(self, records: Sequence[Record]) -> int:
        """Write the first records, those of one database. Raises ArchiveError, OSError: none is."""
        return await self._run(self._write, records)

    async def write_batch(
        self,
        records: Sequence[Record],
        *,
        sender: str,
        number: int,
        check: Callable[[], None] = lambda: None,
    ) -> bool:
        """Write those of one database in a batch of another machine; return whether they are new.

        sender: of a monitor, from its start to its end; its batches are numbered upwards, and one
        that is sent again has its number. check: called before something is written, may raise.
        Raises Unprocessable for more than MAX_ADDED missing minutes, ArchiveError, OSError: none is
        written.
        """
        return await self._run(self._write_batch, records, sender, number, check)

    def by_database(self, records: Sequence[Record]) -> list[list[Record]]:
        """Return the records of each database, in their order."""
        found: dict[Path, list[Record]] = {}
        for record in records:
            found.setdefault(self._file(time_of(record)), []).append(record)
        return list(found.values())

    async def close(self) -> None:
        """Close the database."""
        if self._open:
            await asyncio.to_thread(self._open[1].close)
            self._open = None

    async def _run(self, write: Callable[..., T], *arguments: Any) -> T:
        try:
            return await asyncio.to_thread(write, *arguments)
        except sqlite3.Error as error:
            await self.close()
            raise ArchiveError(f"{self._path}: {error}") from error

    def _write(self, records: Sequence[Record]) -> int:
        first = self._file(time_of(records[0]))
        mine = list(
            itertools.takewhile(lambda record: self._file(time_of(record)) == first, records)
        )
        self._added, self._most_added = 0, None
        self._join_all(first, mine)
        # One transaction.
        with self._database(first) as database:
            for record in mine:
                self._insert(database, record)
        return len(mine)

    def _write_batch(
        self, records: Sequence[Record], sender: str, number: int, check: Callable[[], None]
    ) -> bool:
        path = self._file(time_of(records[0]))
        if path.exists():
            last = self._database(path).execute(LAST_BATCH, (sender,)).fetchone()
            if last and last[0] >= number:
                return False
        check()
        self._added, self._most_added = 0, MAX_ADDED
        self._join_all(path, records)
        # One transaction, with the number: after a kill each database has all of it or nothing.
        with self._database(path) as database:
            # Another gateway may have written it meanwhile.
            new = database.execute(BATCH, (sender, number)).rowcount > 0
            for record in records if new else ():
                self._insert(database, record)
        return new

    def _join_all(self, path: Path, records: Sequence[Record]) -> None:
        """Let the minutes of each source in a database go on from those before."""
        for record in records:
            if isinstance(record, MinuteRecord) and (path, record.source) not in self._joined:
                self._join(record.source, record.minute_ms)
                if len(self._joined) >= MAX_JOINED:
                    self._joined.clear()
                self._joined.add((path, record.source))

    def _join(self, source: str, minute_ms: int) -> None:
        """Add the minutes that are missing before one, whichever databases they belong to."""
        last_ms = self._last_before(source, minute_ms)
        missing = self._missing(last_ms, minute_ms) if last_ms is not None else range(0)
        for path, minutes in itertools.groupby(missing, key=self._file):
            with self._database(path) as database:
                _add_missing(database, source, minutes)

    def _missing(self, last_ms: int, minute_ms: int) -> range:
        """Return the minutes between two. Raises Unprocessable past those that may be added."""
        if minute_ms - last_ms > LONGEST_GAP_MS:
            return range(0)
        missing = range(last_ms + MINUTE_MS, minute_ms, MINUTE_MS)
        self._added += len(missing)
        if self._most_added is not None and self._added > self._most_added:
            raise Unprocessable(
                f"the minutes of these records are so far apart that {self._added} are missing"
                f" between them; at most {self._most_added} are added for one batch"
            )
        return missing

    def _last_before(self, source: str, minute_ms: int) -> int | None:
        """Return the last minute of a source before another, in any database.

        Without one, that before its first event: a kill may have come before a minute was over.
        """
        before, values = None, {"source": source, "until": rfc3339(minute_ms)}
        for path in filter(Path.exists, files_before(self._path, minute_ms // HOUR_MS)):
            try:
                last, event = self._database(path).execute(LAST_TOLD, values).fetchone()
            except sqlite3.DatabaseError as error:
                # One of another day that is damaged is no reason to stop.
                if path == self._file(minute_ms) or isinstance(error, sqlite3.OperationalError):
                    raise
                continue
            if last:
                return milliseconds(last)
            if event:
                before = milliseconds(event) // MINUTE_MS * MINUTE_MS - MINUTE_MS
        return before

    def _file(self, at_ms: int) -> Path:
        return file_of(self._path, source="all", at_ms=at_ms)

    def _database(self, path: Path) -> sqlite3.Connection:
        if self._open and self._open[0] == path and path.exists():
            return self._open[1]
        if self._open:
            self._open[1].close()
            self._open = None
        path.parent.mkdir(parents=True, exist_ok=True)
        # Used by one thread at a time, though not always the same.
        database = sqlite3.connect(path, timeout=BUSY_S, check_same_thread=False)
        self._open = (path, database)
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(SCHEMA)
        return database

    def _insert(self, database: sqlite3.Connection, record: Record) -> None:
        match record:
            case EventRecord():
                times = [
                    None if ms is None else rfc3339(ms) for ms in (record.start_ms, record.end_ms)
                ]
                scores = (record.peak, record.mean, record.not_heard_s)
                what = (record.model, record.version)
                database.execute(
                    EVENT, (record.id, record.source, record.label, *times, *scores, *what)
                )
            case MinuteRecord():
                self._insert_minute(database, record)
            case ProblemRecord():
                row = (record.source, rfc3339(record.at_ms), record.problem, record.detail)
                database.execute("INSERT INTO problems VALUES (?, ?, ?, ?)", row)

    def _insert_minute(self, database: sqlite3.Connection, record: MinuteRecord) -> None:
        source, minute = record.source, rfc3339(record.minute_ms)
        if record.recording:
            told = database.execute(RECORDING, (source, minute, record.recording))
            if not told.rowcount:
                # Before a kill.
                return
        (last,) = database.execute(LAST, (source, minute)).fetchone()
        _add_missing(
            database, source, self._missing(milliseconds(last or minute), record.minute_ms)
        )
        heard, silent, clipped, *dropped, rest = _fitted(database, record, (source, minute))
        database.execute(MINUTE, (source, minute, heard, silent, clipped, rest))
        reasons = zip(record.dropped_ms, dropped, strict=True)
        database.executemany(
            DROPPED, [(source, minute, reason, ms) for reason, ms in reasons if ms]
        )


@lru_cache(maxsize=4)  # with a database an hour, each has some 9,000 paths
def files_before(path: str, hour: int) -> tuple[Path, ...]:
    """Return the databases of an hour and the year before it, the latest first.

    hour: since 1970. For two days each minute may have one of its own, before that each hour.
    """
    end_ms = hour * HOUR_MS + HOUR_MS - MINUTE_MS
    if "%" not in path:
        return (file_of(path, source="all", at_ms=end_ms),)
    minutes = range(end_ms, max(-1, end_ms - 49 * HOUR_MS), -MINUTE_MS)
    hours = range(minutes.stop, max(-1, end_ms - LONGEST_GAP_MS - HOUR_MS), -HOUR_MS)
    times = itertools.chain(minutes, hours)
    return tuple(dict.fromkeys(file_of(path, source="all", at_ms=ms) for ms in times))


def _add_missing(database: sqlite3.Connection, source: str, minutes: Iterable[int]) -> None:
    database.executemany(MISSING, ((source, rfc3339(each)) for each in minutes))


def _fitted(
    database: sqlite3.Connection, record: MinuteRecord, key: tuple[str, str]
) -> Iterator[int]:
    """Yield what of a minute there is room for beside what was told of it, and the rest."""
    found = database.execute(ROOM, key).fetchone()
    room = found[0] if found else MINUTE_MS
    for ms in (record.heard_ms, record.silent_ms, record.clipped_ms, *record.dropped_ms.values()):
        yield min(ms, room)
        room -= min(ms, room)
    yield room
