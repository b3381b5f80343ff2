"""What the monitor tells its sinks: events, minutes of coverage, problems of sources. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal, TypeAlias

from service.protocol import LabelEvent

VERSION = 1
"""Of the fields below, told in every line of JSON; it counts their changes."""
MINUTE_MS = 60_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_MS = 253_402_300_799_999
"""The last moment of the year 9999 in UTC."""
RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
Problem: TypeAlias = Literal["", "not connected", "no sound", "silent", "clipped"]
"""Of a source; empty: none any more."""


@dataclass(frozen=True, kw_only=True)
class EventRecord:
    """A label begins or ends."""

    type: ClassVar[str] = "event"
    id: str
    """The same at onset and offset."""
    source: str
    label: str
    state: Literal["onset", "offset"]
    start_ms: int
    """Wall clock, milliseconds since 1970."""
    end_ms: int | None
    """None at the onset."""
    peak: float
    mean: float
    not_heard_s: float
    """Seconds of it without an answer."""
    model: str
    version: str
    again: bool = False
    """Of a recording that was under way when the monitor was killed: a sink may have it."""


@dataclass(frozen=True, kw_only=True)
class MinuteRecord:
    """The coverage of one source in one minute; the milliseconds add up to 60,000."""

    type: ClassVar[str] = "coverage"
    source: str
    minute_ms: int
    """Its beginning: wall clock, milliseconds since 1970."""
    heard_ms: int = 0
    """Answered, neither silent nor clipped."""
    silent_ms: int = 0
    """Answered, with no sample above -80 dB."""
    clipped_ms: int = 0
    """Answered, with samples at full scale."""
    not_connected_ms: int = 0
    dropped_ms: Mapping[str, int] = field(default_factory=dict)
    """By reason: received from the source and not answered."""
    recording: str = ""
    """Of a recording in a folder: its key. Each tells of a minute once."""
    again: bool = False
    """As of an event."""


@dataclass(frozen=True, kw_only=True)
class ProblemRecord:
    """A source does not work, or works again."""

    type: ClassVar[str] = "problem"
    source: str
    at_ms: int
    """Wall clock, milliseconds since 1970."""
    problem: Problem
    """Empty: it works again."""
    detail: str
    """One sentence for a person."""


Record: TypeAlias = EventRecord | MinuteRecord | ProblemRecord


def event_record(
    event: LabelEvent, *, id_: str, model: str, to_ms: Callable[[int], int]
) -> EventRecord:
    """Return an event of a stream on the wall clock.

    to_ms: returns the time of a sample, milliseconds since 1970.
    """
    return EventRecord(
        id=id_,
        source=event.source,
        label=event.label,
        state=event.state,
        start_ms=to_ms(event.start_sample),
        end_ms=None if event.end_sample is None else to_ms(event.end_sample),
        peak=event.peak,
        mean=event.mean,
        not_heard_s=event.not_heard,
        model=model,
        version=event.version,
    )


def rfc3339(milliseconds: int) -> str:
    """Return a time in UTC, such as 2026-05-31T06:30:00.250Z."""
    moment = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def milliseconds(text: str) -> int:
    """Return a time in milliseconds since 1970.

    text: RFC 3339, in UTC from 1970 to 9999. Raises ValueError.
    """
    if not RFC_3339.fullmatch(text):
        raise ValueError("not RFC 3339")
    ms = (datetime.fromisoformat(text.upper()) - EPOCH) // timedelta(milliseconds=1)
    if not 0 <= ms <= MAX_MS:
        raise ValueError("not between 1970 and 9999")
    return ms


def time_of(record: Record) -> int:
    """Return when a record begins: wall clock, milliseconds since 1970."""
    match record:
        case EventRecord():
            return record.start_ms
        case MinuteRecord():
            return record.minute_ms
    return record.at_ms


def slug(text: str) -> str:
    """Return a text as a part of a topic or file name; two texts never become the same."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", text)
    if plain == text:
        return text
    return f"{plain}_{hashlib.sha256(text.encode()).hexdigest()[:6]}"
