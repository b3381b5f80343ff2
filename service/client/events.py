"""The events of a live stream: the server's messages, and some of the client's own."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar, Literal, TypeAlias

from common.strict_json import to_json
from service.protocol import Dropped, LabelEvent, Ready, Warn, Window


@dataclass(frozen=True, kw_only=True)
class Lost:
    """Sound lost on this side: by the `client`, which kept it as long as it may, or the `device`.

    Named `dropped`, as on the wire. A device does not report how much it lost: from_sample =
    to_sample.
    """

    type: ClassVar[str] = "dropped"
    from_sample: int
    to_sample: int
    """Windows that begin here or later still come."""
    reason: Literal["client", "device"] = "client"


@dataclass(frozen=True, kw_only=True)
class Reconnect:
    """The connection is lost; the next attempt follows after `wait_s` seconds."""

    type: ClassVar[str] = "reconnect"
    attempt: int
    wait_s: float
    detail: str


@dataclass(frozen=True, kw_only=True)
class End:
    """The last event: totals over all connections of the stream."""

    type: ClassVar[str] = "end"
    reason: str
    samples: int
    """Captured."""
    windows: int
    """Answered."""
    dropped: int
    """Windows dropped by the server or by the client."""
    reconnects: int


@dataclass(frozen=True, kw_only=True)
class SourceWarn:
    """A doubt about the source, such as a truncated file. Named `warning`, as on the wire."""

    type: ClassVar[str] = "warning"
    kind: str
    detail: str
    """One sentence for a person."""


Event: TypeAlias = (
    Ready | Window | LabelEvent | Dropped | Warn | SourceWarn | Lost | Reconnect | End
)


def as_json(event: Event) -> str:
    """Return an event as one line of JSON, `type` first."""
    return to_json({"type": event.type, **asdict(event)})
