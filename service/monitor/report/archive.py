"""Reads archives of `timbre monitor` into sums by bin, day and hour; memory is of the sums only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from common.errors import InputError

STATES = ("heard", "silent", "clipped", "dropped", "not connected")
HEARD = 0
MOST_BINS = 400
BIN_MINUTES = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080, 40_320)
"""Widths of a bin: the first with which there are at most `MOST_BINS`."""
MINUTE_S = 60
SPAN = "SELECT min(minute), max(minute) FROM coverage"
COVERAGE = """
SELECT coverage.source, coverage.minute, heard_ms, silent_ms, clipped_ms,
    (SELECT total(dropped_ms) FROM dropped WHERE dropped.source = coverage.source
     AND dropped.minute = coverage.minute), not_connected_ms
FROM coverage WHERE minute >= ? AND minute < ?
"""
EVENTS = 'SELECT source, label, start, "end" FROM events WHERE start >= ? AND start < ?'
PROBLEMS = """
SELECT at, source, problem, detail FROM problems WHERE at >= ? AND at < ? ORDER BY at DESC
"""
MOST_PROBLEMS = 50
Seconds = npt.NDArray[np.float64]


@dataclass
class LabelSums:
    """The events of a label at one source."""

    bins: Seconds
    """Seconds of events in each bin."""
    hours: npt.NDArray[np.int64]
    """Events that begin in each hour of the day, shape (24,)."""
    days: dict[date, list[float]] = field(default_factory=dict)
    """By day: how many events began, and seconds of events in it."""
    count: int = 0


@dataclass
class SourceSums:
    """What a source heard; seconds by state, in the order of `STATES`."""

    bins: Seconds
    """Shape (bins, states); what is missing to a bin's width is in no archive."""
    hours: Seconds
    """By hour of the day, shape (24, states)."""
    days: dict[date, Seconds] = field(default_factory=dict)
    labels: dict[str, LabelSums] = field(default_factory=dict)
    open_events: int = 0
    """Events without an end."""


@dataclass
class Archive:
    """All that a report shows."""

    start: datetime
    """Of the first bin, in the time zone of the report."""
    bin_s: int
    bins: int
    zone: ZoneInfo
    sources: dict[str, SourceSums] = field(default_factory=dict)
    problems: list[tuple[str, str, str, str]] = field(default_factory=list)
    """The last ones, the newest first: time, source, problem, detail."""

    @property
    def end(self) -> datetime:
        """Of the last bin."""
        seconds = self.start.timestamp() + self.bin_s * self.bins
        return datetime.fromtimestamp(seconds, self.zone)

    def source(self, name: str) -> SourceSums:
        """Return the sums of a source."""
        if name not in self.sources:
            states = len(STATES)
            self.sources[name] = SourceSums(
                bins=np.zeros((self.bins, states)), hours=np.zeros((24, states))
            )
        return self.sources[name]

    def label(self, source: str, name: str) -> LabelSums:
        """Return the sums of a label of a source."""
        labels = self.source(source).labels
        if name not in labels:
            labels[name] = LabelSums(bins=np.zeros(self.bins), hours=np.zeros(24, np.int64))
        return labels[name]


def read_archives(
    paths: Sequence[Path], *, zone: ZoneInfo, first: date | None = None, last: date | None = None
) -> Archive:
    """Return the sums of archives, one database each. first, last: days of `zone`, both included.

    Raises InputError for what is no archive, or has no minute of coverage in these days.
    """
    spans = [span for path in paths for span in _rows(path, SPAN) if span[0]]
    if not spans:
        raise InputError(f"{', '.join(map(str, paths))}: no minute of coverage")
    begin = seconds_of(min(span[0] for span in spans))
    end = seconds_of(max(span[1] for span in spans)) + MINUTE_S
    if first:
        begin = max(begin, _midnight(first, zone))
    if last:
        end = min(end, _midnight(last + timedelta(days=1), zone))
    if begin >= end:
        raise InputError(f"{', '.join(map(str, paths))}: no minute of coverage in these days")
    archive = _empty(begin, end, zone)
    limits = (_text(begin), _text(end))
    for path in paths:
        for row in _rows(path, COVERAGE, limits):
            _add_minute(archive, *row)
        for source, label, start, ended in _rows(path, EVENTS, limits):
            _add_event(archive, source, label, start, ended)
        archive.problems += _rows(path, PROBLEMS, limits)
    archive.problems = sorted(archive.problems, reverse=True)[:MOST_PROBLEMS]
    return archive


def _empty(begin: float, end: float, zone: ZoneInfo) -> Archive:
    minutes = (end - begin) / 60
    width = next((each for each in BIN_MINUTES if minutes <= each * MOST_BINS), BIN_MINUTES[-1])
    # Bins begin at whole hours or days of the zone.
    local = datetime.fromtimestamp(begin, zone)
    day = _midnight(local.date(), zone)
    start = day + (begin - day) // (width * 60) * width * 60
    bins = int(-(-(end - start) // (width * 60)))
    return Archive(datetime.fromtimestamp(start, zone), width * 60, bins, zone)


def _rows(path: Path, query: str, values: Sequence[str] = ()) -> Iterator[tuple[Any, ...]]:
    if not path.is_file():
        raise InputError(f"{path} is no file")
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True)) as database:
            yield from database.execute(query, values)
    except sqlite3.Error as error:
        raise InputError(f"{path} is no archive of timbre monitor: {error}") from error


def _add_minute(archive: Archive, name: str, minute: str, *milliseconds: float) -> None:
    source, at = archive.source(name), seconds_of(minute)
    seconds = np.array(milliseconds) / 1000
    source.bins[int((at - archive.start.timestamp()) // archive.bin_s)] += seconds
    day, hour = local_time(int(at // 900), archive.zone)
    source.hours[hour] += seconds
    if day in source.days:
        source.days[day] += seconds
    else:
        source.days[day] = seconds.copy()


def _add_event(archive: Archive, source: str, label: str, start: str, ended: str | None) -> None:
    sums, begin = archive.label(source, label), seconds_of(start)
    end = begin if ended is None else seconds_of(ended)
    archive.source(source).open_events += ended is None
    day, hour = local_time(int(begin // 900), archive.zone)
    sums.count += 1
    sums.hours[hour] += 1
    sums.days.setdefault(day, [0, 0.0])[0] += 1
    for at, until in _pieces(begin, end, archive):
        where = int((at - archive.start.timestamp()) // archive.bin_s)
        if where < archive.bins:
            sums.bins[where] += max(until - at, 0.001)
            piece, _ = local_time(int(at // 900), archive.zone)
            sums.days.setdefault(piece, [0, 0.0])[1] += until - at


def _pieces(begin: float, end: float, archive: Archive) -> Iterable[tuple[float, float]]:
    """Yield the parts of an event that lie in one bin and in one day each."""
    offset = archive.start.timestamp()
    while True:
        edge = offset + ((begin - offset) // archive.bin_s + 1) * archive.bin_s
        if archive.bin_s > 86_400 // 24:
            day, _ = local_time(int(begin // 900), archive.zone)
            edge = min(edge, _midnight(day + timedelta(days=1), archive.zone))
        yield begin, min(edge, end)
        if edge >= end:
            return
        begin = edge


def seconds_of(text: str) -> float:
    """Return a time of an archive, such as 2026-05-31T06:30:00.250Z, as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()


def _text(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.000Z"


def _midnight(day: date, zone: ZoneInfo) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()


@lru_cache(maxsize=100_000)
def local_time(quarter: int, zone: ZoneInfo) -> tuple[date, int]:
    """Return day and hour in a time zone. quarter: of an hour, since 1970."""
    moment = datetime.fromtimestamp(quarter * 900, zone)
    return moment.date(), moment.hour
