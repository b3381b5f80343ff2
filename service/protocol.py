"""Messages of a live stream, as PROTOCOL.md documents them; the only file that knows their shape.

Pure: text and bytes in, values out. Both ends use it: the server reads with `parse_client` and the
client with `parse_server`; both write with `encode`.
"""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar, Literal, TypeAlias, cast, get_args

from common.errors import InputError, TimbreError, Unprocessable
from common.mapping import parse_json, read_json
from common.strict_json import to_json
from service.encodings import ENCODINGS

OnOverload: TypeAlias = Literal["latest", "complete"]
DropReason: TypeAlias = Literal["overload", "late", "gap"]
WarningKind: TypeAlias = Literal[
    "clipping",
    "silence",
    "opposite_channels",
    "dc_offset",
    "sample_rate",
    "header",
    "encoding",
    "version",
]
EventState: TypeAlias = Literal["onset", "offset"]
EndReason: TypeAlias = Literal["client ended", "idle", "server leaves"]

INDEX = struct.Struct("<Q")
"""Of the first sample, at the beginning of a numbered frame."""
OPTIONAL = ("captured_at", "events", "event_settings", "source", "publish")
"""Fields of `start` that are sent only if they say something: servers before 0.2 reject them."""
SOURCE = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
"""Name of a source, and what is part of one; `check_source` says so to a person."""
RATES = (8_000, 192_000)
"""Hertz, lowest and highest that a client may send."""
CHANNELS = (1, 8)
MAX_SAMPLE = 2**53
"""Past every sample index: what JSON numbers carry exactly everywhere."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Client: format of the audio. The first message of every stream."""

    type: ClassVar[str] = "start"
    sample_rate: int
    """Hertz, 8000 to 192000."""
    encoding: str = "pcm_s16le"
    """How one sample is written: a name in `service.encodings.ENCODINGS`."""
    channels: int = 1
    """1 to 8, interleaved, mixed down."""
    hop: float = 0.5
    """Seconds between windows; `ready` has the nearest that the server supports."""
    on_overload: OnOverload = "latest"
    """`latest` drops the oldest waiting window, `complete` slows the client down."""
    numbered: bool = False
    """Whether each binary frame begins with the index of its first sample."""
    first_sample: int = 0
    """Index of the first sample to come; windows stay on the grid that begins at sample 0."""
    captured_at: str = ""
    """RFC 3339: wall clock of the first sample, with which ages are exact; empty: unknown."""
    events: bool = False
    """Whether the server also sends `event` messages."""
    event_settings: dict[str, dict[str, float]] = field(default_factory=dict)
    """By label, or by `*` for all: some of threshold, off, gap, min_length and rise."""
    publish: bool = False
    """Whether the events also go to `GET /v1/events`."""
    source: str = ""
    """Name of what is heard, 1 to 64 of letters, digits, `-_.`; empty: that of the stream."""

    def __post_init__(self) -> None:
        """Check what can be checked without knowing the model. Raises Unprocessable."""
        _within("sample_rate", self.sample_rate, *RATES)
        _within("channels", self.channels, *CHANNELS)
        _within("first_sample", self.first_sample, 0, MAX_SAMPLE - 1)
        _one_of("encoding", self.encoding, tuple(ENCODINGS))
        _one_of("on_overload", self.on_overload, get_args(OnOverload))
        if not self.hop > 0:
            raise Unprocessable(f"hop={self.hop} must be more than 0 s")
        if self.source:
            check_source("source", self.source)
        _ = self.captured

    @property
    def captured(self) -> float | None:
        """`captured_at` in seconds of `time.time()`. Raises Unprocessable if it is not RFC 3339."""
        if not self.captured_at:
            return None
        with suppress(ValueError, OverflowError):
            captured = datetime.fromisoformat(self.captured_at)
            if captured.tzinfo is not None:
                return captured.timestamp()
        raise Unprocessable(
            f"captured_at={self.captured_at!r:.60} must be RFC 3339 with a time zone,"
            " such as 2026-05-31T06:30:00.250Z"
        )


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Client: end of the audio. Named `end` on the wire."""

    type: ClassVar[str] = "end"


@dataclass(frozen=True, kw_only=True)
class Ready:
    """Server: the stream is accepted; audio may come."""

    type: ClassVar[str] = "ready"
    stream: str
    """Name of the stream, as in the server's log."""
    model: str
    version: str
    labels: tuple[str, ...]
    """In the model's order."""
    window: float
    """Seconds."""
    hop: float
    """Seconds, the hop really used."""
    sample_rate: int
    """Hertz the model works at; window and hop are whole numbers of its samples."""


@dataclass(frozen=True, kw_only=True)
class Age:
    """Milliseconds a window took, by stage."""

    total: float
    """From when its last byte was due, by the stream's clock, to sending."""
    features: float
    queue: float
    model: float
    waiting: float = 0.0
    """Until its features began to be computed. Not told by servers before 0.2."""


@dataclass(frozen=True, kw_only=True)
class Window:
    """Server: result of one window."""

    type: ClassVar[str] = "window"
    start: float
    """Seconds since sample 0."""
    end: float
    """Seconds since sample 0."""
    start_sample: int
    """At the client's rate, rounded."""
    end_sample: int
    """At the client's rate, rounded; one past the last."""
    scores: dict[str, float]
    """Every label, best first."""
    labels: tuple[str, ...]
    """Those over their threshold, best first."""
    version: str
    age_ms: Age


@dataclass(frozen=True, kw_only=True)
class LabelEvent:
    """Server: a label begins or ends. Named `event` on the wire."""

    type: ClassVar[str] = "event"
    id: str
    """The same at onset and offset."""
    label: str
    state: EventState
    start: float
    """Seconds since sample 0."""
    end: float | None
    """Seconds since sample 0; None at the onset."""
    start_sample: int
    """At the client's rate, rounded."""
    end_sample: int | None
    """At the client's rate, rounded; one past the last."""
    peak: float
    """Highest score of its windows so far."""
    mean: float
    """Mean score of its windows so far."""
    source: str
    version: str
    """That scored its last window."""
    not_heard: float = 0.0
    """Seconds of it without an answer."""


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """Server: these samples get no result as a whole; parts may be in other windows."""

    type: ClassVar[str] = "dropped"
    from_sample: int
    to_sample: int
    """One past the last, at the client's rate as in `window`."""
    reason: DropReason


@dataclass(frozen=True, kw_only=True)
class Warn:
    """Server: the audio seems wrong, or a new version cannot serve this stream, which continues."""

    type: ClassVar[str] = "warning"
    kind: WarningKind
    detail: str
    """One sentence for a person."""
    from_sample: int
    """Where it was detected, at the client's rate."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Server: summary; received = processed + dropped + tail. Named `end` on the wire."""

    type: ClassVar[str] = "end"
    reason: EndReason
    samples_received: int
    samples_processed: int
    """In at least one answered window."""
    samples_dropped: int
    """In a dropped window and in no answered one."""
    samples_tail: int
    """In no window at all."""
    windows: int
    """Answered windows."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Server: why it closes the stream; the last message. Named `error` on the wire."""

    type: ClassVar[str] = "error"
    code: str
    """As in the `type` of a problem document, for programs."""
    title: str
    detail: str
    """For a person."""


ClientMessage: TypeAlias = Start | Stop
ServerMessage: TypeAlias = Ready | Window | LabelEvent | Dropped | Warn | Summary | Failure
FROM_CLIENT: tuple[type[ClientMessage], ...] = get_args(ClientMessage)
FROM_SERVER: tuple[type[ServerMessage], ...] = get_args(ServerMessage)


def check_source(what: str, text: str) -> None:
    """Raise Unprocessable unless a text is as SOURCE. what: the name of its field."""
    if not SOURCE.fullmatch(text):
        raise Unprocessable(
            f"{what}={text!r:.80} must be 1 to 64 of letters, digits, '-', '_' and '.'"
        )


def code_of(error: TimbreError) -> str:
    """Return the short name of an error's class for programs, such as `bad-input`."""
    return error.title.lower().replace(" ", "-")


def failure(error: TimbreError) -> Failure:
    """Return the message that reports an error."""
    return Failure(code=code_of(error), title=error.title, detail=str(error))


def encode(message: ClientMessage | ServerMessage) -> str:
    """Return a message as JSON text."""
    # Not asdict: it copies deeply, which takes longer than all the rest.
    values = {"type": message.type, **vars(message)}
    if isinstance(message, Start):
        values = {name: each for name, each in values.items() if each or name not in OPTIONAL}
    return to_json(values, separators=(",", ":"), default=vars)


def parse_client(text: str) -> ClientMessage:
    """Read a client's message, strictly.

    Raises InputError on an invalid message, Unprocessable on a value out of range.
    """
    kind, values = _read(text, FROM_CLIENT)
    message = read_json(kind, values, where=kind.type, error=InputError, outside=Unprocessable)
    return cast("ClientMessage", message)


def parse_server(text: str) -> ServerMessage:
    """Read a server's message, ignoring fields of a later version. Raises InputError."""
    kind, values = _read(text, FROM_SERVER)
    known = _known_fields(kind, values)
    if isinstance(known.get("age_ms"), dict):
        known["age_ms"] = _known_fields(Age, known["age_ms"])
    message = read_json(kind, known, where=kind.type, error=InputError, open_choices=True)
    return cast("ServerMessage", message)


@dataclass(frozen=True, kw_only=True)
class SampleGrid:
    """Sample positions at the client's rate and at the model's, in whole numbers: no drift."""

    client_rate: int
    """Hertz."""
    model_rate: int
    """Hertz."""

    def to_client(self, position: int) -> int:
        """Return the client's sample nearest to a sample of the model's rate (half rounds up)."""
        return (2 * position * self.client_rate + self.model_rate) // (2 * self.model_rate)

    def to_model(self, position: int) -> int:
        """Return the first sample of the model's rate that is not before a client's `position`.

        So a client that begins again at a window's `start_sample` gets that window.
        """
        return max(0, -(-(self.model_rate * (2 * position - 1)) // (2 * self.client_rate)))

    def nearest(self, position: int) -> int:
        """Return the sample of the model's rate nearest to a client's sample (half rounds up)."""
        return (2 * position * self.model_rate + self.client_rate) // (2 * self.client_rate)


def number(first_sample: int, pcm: bytes) -> bytes:
    """Return a numbered binary frame: the index of its first sample, then the audio."""
    return INDEX.pack(first_sample) + pcm


def unnumber(frame: bytes) -> tuple[int, memoryview]:
    """Split a numbered frame into the index of its first sample and audio. Raises InputError."""
    if len(frame) < INDEX.size:
        raise InputError(
            f"a numbered frame begins with {INDEX.size} bytes of sample index;"
            f" this one has {len(frame)} bytes"
        )
    (first,) = INDEX.unpack_from(frame)
    _within("sample index", first, 0, MAX_SAMPLE - 1)
    return first, memoryview(frame)[INDEX.size :]


def _read(text: str, kinds: tuple[type[Any], ...]) -> tuple[type[Any], dict[str, Any]]:
    """Return the class of a message, and its fields."""
    values = parse_json(text, error=InputError)
    if not isinstance(values, dict):
        raise InputError("a message is a JSON object with a field 'type'")
    name = values.pop("type", None)
    kind = next((each for each in kinds if each.type == name), None)
    if kind is None:
        known = ", ".join(each.type for each in kinds)
        raise InputError(f"unknown message type {name!r:.40}; known: {known}")
    return kind, values


def _known_fields(kind: type[Any], values: dict[str, Any]) -> dict[str, Any]:
    required = {field.name for field in fields(kind) if field.default is MISSING}
    if missing := required - values.keys():
        raise InputError(f"missing field {', '.join(sorted(missing))} in a server's message")
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise Unprocessable(f"{name}={value} must be between {low} and {high}")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise Unprocessable(f"{name}={value!r:.40} must be one of {', '.join(known)}")
