"""Records as JSON objects, as files of JSON lines and other servers get them; and back, strictly.

Pure.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from common.errors import Unprocessable, UnsupportedMedia
from common.mapping import read_json
from service.archive.records import (
    MINUTE_MS,
    VERSION,
    EventRecord,
    MinuteRecord,
    Problem,
    ProblemRecord,
    Record,
    milliseconds,
    rfc3339,
)
from service.protocol import check_source

MAX_TEXT = 256
"""Characters of an id, a label, the name or the version of a model."""
MAX_DETAIL = 1_000
REASON = re.compile(r"[a-z_]{1,32}", re.ASCII)
MAX_REASONS = 16
MAX_SECONDS = 1e9
"""Of an event, 30 years."""


def document(record: Record) -> dict[str, Any]:
    """Return a record as a JSON object: times as RFC 3339 in UTC, durations in seconds."""
    values: dict[str, Any] = {"type": record.type, "v": VERSION}
    for name, value in asdict(record).items():
        if name == "again" or (name == "recording" and not value):
            continue
        match name.removesuffix("_ms"):
            case "start" | "end" | "minute" | "at" as moment:
                values[moment] = None if value is None else rfc3339(value)
            case "dropped" as lengths:
                values[lengths] = {reason: ms / 1000 for reason, ms in value.items()}
            case length if length != name:
                values[length] = value / 1000
            case _:
                values[name.removesuffix("_s")] = value
    return values


@dataclass(frozen=True, kw_only=True)
class EventDocument:
    """A label begins or ends."""

    type: Literal["event"]
    v: int
    """Of the fields, 1; counts their changes."""
    id: str
    """The same at onset and offset."""
    source: str
    label: str
    state: Literal["onset", "offset"]
    start: str
    """Wall clock, RFC 3339."""
    end: str | None
    """Null at the onset."""
    peak: float
    mean: float
    not_heard: float
    """Seconds of it without an answer."""
    model: str
    version: str

    def record(self) -> EventRecord:
        """Return the record. Raises Unprocessable for a value outside its limits."""
        check_source("source", self.source)
        for name in ("id", "label", "model", "version"):
            _check_text(name, getattr(self, name), MAX_TEXT)
        for name in ("peak", "mean"):
            _check_range(name, getattr(self, name), 1)
        _check_range("not_heard", self.not_heard, MAX_SECONDS)
        start_ms, end_ms = _ms("start", self.start), None
        if (self.state == "onset") != (self.end is None):
            raise Unprocessable(f"end={self.end!r:.60} must be null at the onset, a time otherwise")
        if self.end is not None and (end_ms := _ms("end", self.end)) < start_ms:
            raise Unprocessable(f"end={self.end!r} must not be before start={self.start!r}")
        return EventRecord(
            id=self.id,
            source=self.source,
            label=self.label,
            state=self.state,
            start_ms=start_ms,
            end_ms=end_ms,
            peak=self.peak,
            mean=self.mean,
            not_heard_s=self.not_heard,
            model=self.model,
            version=self.version,
        )


@dataclass(frozen=True, kw_only=True)
class MinuteDocument:
    """The coverage of one source in one minute; the seconds add up to 60."""

    type: Literal["coverage"]
    v: int
    """Of the fields, 1; counts their changes."""
    source: str
    minute: str
    """Its beginning: wall clock, RFC 3339."""
    heard: float
    silent: float
    clipped: float
    not_connected: float
    dropped: dict[str, float]
    """Seconds by reason."""
    recording: str = ""
    """Of a recording in a folder: its key. Each tells of a minute once."""

    PARTS: ClassVar[tuple[str, ...]] = ("heard", "silent", "clipped", "not_connected")

    def record(self) -> MinuteRecord:
        """Return the record. Raises Unprocessable for a value outside its limits."""
        check_source("source", self.source)
        minute_ms = _ms("minute", self.minute)
        if minute_ms % MINUTE_MS:
            raise Unprocessable(f"minute={self.minute!r} is not the beginning of a minute")
        if self.recording:
            _check_text("recording", self.recording, MAX_TEXT)
        if len(self.dropped) > MAX_REASONS:
            raise Unprocessable(f"dropped has {len(self.dropped)} reasons; at most {MAX_REASONS}")
        for reason in self.dropped:
            if not REASON.fullmatch(reason):
                raise Unprocessable(f"dropped: {reason!r:.60} must be 1 to 32 of a-z and '_'")
        parts = {name: getattr(self, name) for name in self.PARTS}
        lengths = parts | {f"dropped.{reason}": length for reason, length in self.dropped.items()}
        for name, seconds in lengths.items():
            _check_range(name, seconds, MINUTE_MS / 1000)
        ms = {name: round(1000 * seconds) for name, seconds in lengths.items()}
        if sum(ms.values()) != MINUTE_MS:
            raise Unprocessable(f"the parts of a minute add up to {sum(ms.values())} ms, not 60000")
        return MinuteRecord(
            source=self.source,
            minute_ms=minute_ms,
            dropped_ms={reason: ms[f"dropped.{reason}"] for reason in self.dropped},
            recording=self.recording,
            **{f"{name}_ms": ms[name] for name in self.PARTS},
        )


@dataclass(frozen=True, kw_only=True)
class ProblemDocument:
    """A source does not work, or works again."""

    type: Literal["problem"]
    v: int
    """Of the fields, 1; counts their changes."""
    source: str
    at: str
    """Wall clock, RFC 3339."""
    problem: Problem
    """Empty: it works again."""
    detail: str
    """One sentence for a person."""

    def record(self) -> ProblemRecord:
        """Return the record. Raises Unprocessable for a value outside its limits."""
        check_source("source", self.source)
        if len(self.detail) > MAX_DETAIL:
            raise Unprocessable(f"detail has {len(self.detail)} characters; at most {MAX_DETAIL}")
        return ProblemRecord(
            source=self.source,
            at_ms=_ms("at", self.at),
            problem=self.problem,
            # Lone surrogates are no text to a database.
            detail=self.detail.encode(errors="replace").decode(),
        )


Document: TypeAlias = EventDocument | MinuteDocument | ProblemDocument
DOCUMENTS: dict[str, type[Document]] = {
    "event": EventDocument,
    "coverage": MinuteDocument,
    "problem": ProblemDocument,
}
"""By `type`."""


def read_record(value: Any, *, where: str) -> Record:
    """Return the record of a JSON object.

    Raises UnsupportedMedia for a later version of its fields, Unprocessable for all else; both
    name the place and the field.
    """
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in DOCUMENTS:
        known = ", ".join(DOCUMENTS)
        raise Unprocessable(f"{where}: type={kind!r:.60} must be one of {known}")
    if (version := value.get("v")) != VERSION or type(version) is not int:
        error = UnsupportedMedia if type(version) is int else Unprocessable
        raise error(f"{where}: v={version!r:.20} is not known; this server reads {VERSION}")
    found: Document = read_json(DOCUMENTS[kind], value, where=where, error=Unprocessable)
    try:
        return found.record()
    except Unprocessable as error:
        raise Unprocessable(f"{where}: {error}") from None


def _check_text(name: str, text: str, most: int) -> None:
    # A lone surrogate is not printable either.
    if not 0 < len(text) <= most or not text.isprintable():
        raise Unprocessable(f"{name}={text!a:.80} must be 1 to {most} printable characters")


def _check_range(name: str, value: float, most: float) -> None:
    if not 0 <= value <= most:
        raise Unprocessable(f"{name}={value:g} must be between 0 and {most:g}")


def _ms(name: str, text: str) -> int:
    """Return a time in milliseconds since 1970. Raises Unprocessable."""
    try:
        return milliseconds(text)
    except ValueError:
        raise Unprocessable(
            f"{name}={text!r:.60} must be RFC 3339 with a time zone, from 1970 to 9999, such as"
            " 2026-05-31T06:30:00.250Z"
        ) from None
