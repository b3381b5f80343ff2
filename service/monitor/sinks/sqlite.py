"""A sink that is an archive: events and coverage side by side in a SQLite database."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from service.monitor.records import (
    MINUTE_MS,
    EventRecord,
    MinuteRecord,
    ProblemRecord,
    Record,
    rfc3339,
    time_of,
)
from service.monitor.sinks.base import SinkError
from service.monitor.sinks.text_files import file_of

LONGEST_GAP = timedelta(days=366)
"""Between two minutes, up to which those that are missing are added. A longer one is of a clock
that was wrong, as that of a board without a battery."""
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
CREATE TABLE IF NOT EXISTS problems (
    source TEXT NOT NULL, at TEXT NOT NULL, problem TEXT NOT NULL, detail TEXT NOT NULL
);
"""
EVENT = """
INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET
    "end" = excluded."end", peak = excluded.peak, mean = excluded.mean,
    not_heard = excluded.not_heard, version = excluded.version
WHERE excluded."end" IS NOT NULL OR events."end" IS NULL
"""
# A minute that is told twice began before a restart and went on behind it.
MINUTE = """
INSERT INTO coverage VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (source, minute) DO UPDATE SET
    heard_ms = heard_ms + excluded.heard_ms, silent_ms = silent_ms + excluded.silent_ms,
    clipped_ms = clipped_ms + excluded.clipped_ms,
    not_connected_ms = max(0, not_connected_ms + excluded.not_connected_ms - 60000)
"""
DROPPED = """
INSERT INTO dropped VALUES (?, ?, ?, ?) ON CONFLICT (source, minute, reason)
    DO UPDATE SET dropped_ms = dropped_ms + excluded.dropped_ms
"""
LAST = "SELECT max(minute) FROM coverage WHERE source = ? AND minute < ?"
# Nobody was there to tell of these minutes.
MISSING = """
INSERT INTO coverage
WITH RECURSIVE minutes (at) AS (
    SELECT CAST(strftime('%s', ?) AS INTEGER) + 60 UNION ALL
    SELECT at + 60 FROM minutes WHERE at + 60 < CAST(strftime('%s', ?) AS INTEGER)
)
SELECT ?, strftime('%Y-%m-%dT%H:%M:%S.000Z', at, 'unixepoch'), 0, 0, 0, 60000 FROM minutes
WHERE at < CAST(strftime('%s', ?) AS INTEGER) ON CONFLICT DO NOTHING
"""


class Archive:
    """Writes to the databases that a path stands for, one at a time, with write-ahead logs.

    Others may read meanwhile. Between the first and the last minute of a source in a database none
    is missing, for a year: those in which no monitor ran are not connected.
    """

    def __init__(self, path: str) -> None:
        """path: may hold the codes of strftime such as %Y-%m, for one database each."""
        self._path = path
        self._open: tuple[Path, sqlite3.Connection] | None = None

    async def write(self, records: Sequence[Record]) -> int:
        """Write the first records, those of one database. Raises SinkError, OSError: none is."""
        try:
            return await asyncio.to_thread(self._write, records)
        except sqlite3.Error as error:
            await self.close()
            raise SinkError(f"{self._path}: {error}") from error

    async def close(self) -> None:
        """Close the database."""
        if self._open:
            await asyncio.to_thread(self._open[1].close)
            self._open = None

    def _write(self, records: Sequence[Record]) -> int:
        first = self._file(records[0])
        mine = list(itertools.takewhile(lambda record: self._file(record) == first, records))
        # One transaction.
        with self._database(first) as database:
            for record in mine:
                _insert(database, record)
        return len(mine)

    def _file(self, record: Record) -> Path:
        return file_of(self._path, source="all", at_ms=time_of(record))

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


def _insert(database: sqlite3.Connection, record: Record) -> None:
    match record:
        case EventRecord():
            times = [None if ms is None else rfc3339(ms) for ms in (record.start_ms, record.end_ms)]
            scores = (record.peak, record.mean, record.not_heard_s)
            what = (record.model, record.version)
            database.execute(
                EVENT, (record.id, record.source, record.label, *times, *scores, *what)
            )
        case MinuteRecord():
            _insert_minute(database, record)
        case ProblemRecord():
            row = (record.source, rfc3339(record.at_ms), record.problem, record.detail)
            database.execute("INSERT INTO problems VALUES (?, ?, ?, ?)", row)


def _insert_minute(database: sqlite3.Connection, record: MinuteRecord) -> None:
    source, minute = record.source, rfc3339(record.minute_ms)
    (last,) = database.execute(LAST, (source, minute)).fetchone()
    gap = datetime.fromisoformat(minute) - datetime.fromisoformat(last or minute)
    if timedelta(milliseconds=MINUTE_MS) < gap <= LONGEST_GAP:
        database.execute(MISSING, (last, minute, source, minute))
    states = (record.heard_ms, record.silent_ms, record.clipped_ms, record.not_connected_ms)
    database.execute(MINUTE, (source, minute, *states))
    database.executemany(
        DROPPED, [(source, minute, reason, ms) for reason, ms in record.dropped_ms.items()]
    )
