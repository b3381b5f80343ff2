"""A WebSocket client that costs a tenth of a full one: a load generator shares its machine."""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from typing import cast
from urllib.parse import urlsplit

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
SHORT, MEDIUM = 126, 65_536
"""Bytes from which a length takes two, and eight bytes more."""


def frame(opcode: int, payload: bytes) -> bytes:
    """Return one frame of a client (RFC 6455, 5.2), masked with zeros so that it is sent as is."""
    size = len(payload)
    if size < SHORT:
        length = bytes([0x80 | size])
    elif size < MEDIUM:
        length = bytes([0x80 | SHORT]) + size.to_bytes(2, "big")
    else:
        length = bytes([0x80 | SHORT + 1]) + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


class Client(asyncio.Protocol):
    """Override `opened`, `text` and `closed`; send frames with `transport.write`."""

    transport: asyncio.Transport

    def __init__(self, url: str) -> None:
        self._url = urlsplit(url)
        self._received = b""
        self._open = self._done = False

    async def connect(self) -> None:
        """Connect and request the upgrade. Raises OSError."""
        context = ssl.create_default_context() if self._url.scheme == "https" else None
        port = self._url.port or (443 if context else 80)
        await asyncio.get_running_loop().create_connection(
            lambda: self, self._url.hostname or "", port, ssl=context
        )

    def opened(self) -> None:
        """The server has upgraded the connection."""

    def text(self, message: bytes) -> None:
        """A text message arrived."""

    def closed(self, why: str) -> None:
        """The end, called once: `HTTP 503`, `closed 1013`, `connection lost`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Request the upgrade."""
        # A cast, for uvloop's transports are of no class of asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        head = {
            "Host": self._url.netloc,
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        }
        lines = [f"GET {self._url.path} HTTP/1.1", *(f"{name}: {head[name]}" for name in head)]
        self.transport.write("\r\n".join([*lines, "", ""]).encode())

    def data_received(self, data: bytes) -> None:
        """Read the response to the upgrade, then frames."""
        self._received += data
        if not self._open and not self._upgrade():
            return
        at = 0
        while (parsed := _parse(self._received, at)) is not None:
            opcode, payload, at = parsed
            if opcode == TEXT:
                self.text(payload)
            elif opcode == PING:
                self.transport.write(frame(PONG, payload))
            elif opcode == CLOSE:
                self.transport.write(frame(CLOSE, payload[:2]))
                self._end(f"closed {int.from_bytes(payload[:2], 'big')}")
        self._received = self._received[at:]

    def connection_lost(self, error: Exception | None) -> None:
        """Report the end."""
        self._end(type(error).__name__ if error else "connection lost")

    def _upgrade(self) -> bool:
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return False
        status = head.split(b" ", 2)[1].decode()
        if status != "101":
            self._end(f"HTTP {status}")
            self.transport.close()
            return False
        self._open, self._received = True, rest
        self.opened()
        return True

    def _end(self, why: str) -> None:
        if not self._done:
            self._done = True
            self.closed(why)


def _parse(data: bytes, at: int) -> tuple[int, bytes, int] | None:
    """Return opcode and payload of a server's frame at `at`, and where the next begins."""
    if len(data) - at < 2:
        return None
    size, head = data[at + 1], 2
    if size >= SHORT:
        head = 4 if size == SHORT else 10
        if len(data) - at < head:
            return None
        size = int.from_bytes(data[at + 2 : at + head], "big")
    end = at + head + size
    return (data[at] & 0xF, data[at + head : end], end) if len(data) >= end else None
