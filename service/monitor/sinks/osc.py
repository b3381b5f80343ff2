"""A sink that sends Open Sound Control over UDP: to lights, synthesisers, patches."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from common.errors import InputError, Unprocessable
from service.archive.records import EventRecord, MinuteRecord, Record, rfc3339, slug
from service.monitor.sinks.mqtt import TOPIC

MAX_TEXT = 1_000
"""Characters of one argument: a message must fit into a datagram."""


@dataclass(frozen=True, kw_only=True)
class OscSettings:
    """The settings of a receiver."""

    host: str
    port: int
    prefix: str = "timbre"
    """Addresses begin with it."""

    def __post_init__(self) -> None:
        """Raises Unprocessable for a value outside its limits."""
        if not self.host:
            raise Unprocessable("host must name the receiver")
        if not 1 <= self.port <= 65_535:
            raise Unprocessable(f"port={self.port} must be between 1 and 65535")
        if not TOPIC.fullmatch(self.prefix):
            raise Unprocessable(
                f"prefix={self.prefix!r:.80} must be letters, digits, '-', '_' and '.', in parts"
                " with / between"
            )


class Osc:
    """Sends each record as a message. UDP tells nobody whether one has arrived."""

    def __init__(self, settings: OscSettings) -> None:
        """Raises InputError without the package python-osc."""
        self._settings, self._builder = settings, _load()

    async def write(self, records: Sequence[Record]) -> int:
        """Send the first record. Raises OSError when it cannot be sent."""
        await asyncio.to_thread(self._send, self._message(records[0]))
        return 1

    async def close(self) -> None:
        """Nothing is open between two messages."""

    def _send(self, message: bytes) -> None:
        where = socket.getaddrinfo(self._settings.host, self._settings.port, type=socket.SOCK_DGRAM)
        # Most that read OSC listen on IPv4 alone, and `localhost` is ::1 too, often first.
        family, kind, protocol, _, address = min(where, key=lambda each: each[0] != socket.AF_INET)
        with socket.socket(family, kind, protocol) as sending:
            sending.sendto(message, address)

    def _message(self, record: Record) -> bytes:
        address, values = _content(record)
        builder = self._builder(f"/{self._settings.prefix}/{record.source}/{address}")
        for value in values:
            # A text of OSC ends at its first NUL.
            text = value[:MAX_TEXT].replace("\0", " ") if isinstance(value, str) else value
            builder.add_arg(text)
        datagram: bytes = builder.build().dgram
        return datagram


def _content(record: Record) -> tuple[str, list[str | int | float]]:
    """Return the end of the address, which holds no letter of OSC's patterns, and the arguments."""
    match record:
        case EventRecord():
            begun = int(record.end_ms is None)
            values: list[str | int | float] = [
                begun,
                record.peak,
                record.label,
                rfc3339(record.start_ms),
                record.id,
            ]
            return f"label/{slug(record.label[:MAX_TEXT])}", values
        case MinuteRecord():
            states = (record.heard_ms, record.silent_ms, record.clipped_ms)
            lost = (sum(record.dropped_ms.values()), record.not_connected_ms)
            return "coverage", [each / 1000 for each in (*states, *lost)]
    return "problem", [int(bool(record.problem)), record.problem, record.detail]


def _load() -> Any:
    try:
        from pythonosc.osc_message_builder import OscMessageBuilder
    except ImportError as error:
        raise InputError("OSC needs the package python-osc: pip install 'timbre[osc]'") from error
    return OscMessageBuilder
