"""Counts the bytes of WebSocket messages that are not complete against a common budget."""

from __future__ import annotations

from typing import Any

from aiohttp import WSMessage, WSMsgType, web

from common.budget import Reservation
from common.errors import Busy

UNCOUNTED = 2**16
"""Bytes of a message that are not counted: so many of each stream the budget never sees, so that
request bodies which fill it end no stream of short messages."""
PIECE = 64
"""Bytes of memory that a piece of a frame costs besides its own."""
CONTROL = 0x8
"""From here on, opcodes are of control frames, which may come amid the parts of a message."""


class BoundedWebSocket(web.WebSocketResponse):
    """A WebSocket whose unfinished message counts as memory: aiohttp bounds that of each alone.

    Past the budget, the next message that is received is an ERROR of Busy, and nothing more comes.
    """

    def __init__(self, memory: Reservation, **options: Any) -> None:
        """memory: held for this connection, by whoever ends it."""
        super().__init__(**options)
        self._memory = memory

    def _post_start(self, request: web.BaseRequest, protocol: str | None, writer: Any) -> None:
        connection = request.protocol
        # What came with the request would pass uncounted.
        early, connection._message_tail = connection._message_tail, b""  # noqa: SLF001
        super()._post_start(request, protocol, writer)
        counting = CountingReader(connection._payload_parser, self._reader, self._memory)  # noqa: SLF001
        connection._payload_parser = counting  # noqa: SLF001
        if early:
            counting.feed_data(early)


class CountingReader:
    """Stands before aiohttp's reader of frames."""

    def __init__(self, reader: Any, messages: Any, memory: Reservation) -> None:
        """messages: the queue that the reader fills."""
        self._reader = reader
        self._messages = messages
        self._memory = memory
        self._scanner = FrameScanner()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass on what was received, until there is no room for it."""
        if self._reader is None:
            # Still taken from the socket: with unread bytes its close would discard the error.
            return False, b""
        self._scanner.feed(data)
        try:
            self._memory.resize(max(0, self._scanner.unfinished - UNCOUNTED))
        except Busy as error:
            self._reader = None
            self._messages.feed_data(WSMessage(WSMsgType.ERROR, error, ""), 0)
            return False, b""
        answer: tuple[bool, bytes] = self._reader.feed_data(data)
        return answer

    def feed_eof(self) -> None:
        """Tell the end of the connection."""
        self._messages.feed_eof()


class FrameScanner:
    """Follows the frames of a client (RFC 6455, 5.2), which the reader checks; keeps no payload."""

    def __init__(self) -> None:
        self.unfinished = 0
        """Bytes in memory of the message that is not complete."""
        self._head = bytearray()
        self._left = 0
        self._is_data = self._is_last = False

    def feed(self, data: bytes) -> None:
        """Count received bytes."""
        at = 0
        while at < len(data):
            size = min(self._left or self._missing(), len(data) - at)
            if self._left:
                self._left -= size
                self.unfinished += (size + PIECE) * self._is_data
            else:
                self._head += data[at : at + size]
                if not self._missing():
                    self._begin()
            at += size
            if not (self._left or self._head) and self._is_data and self._is_last:
                self.unfinished = 0

    def _missing(self) -> int:
        """Return how many bytes of the frame's head are still to come, as far as is known."""
        if len(self._head) < 2:
            return 2 - len(self._head)
        length, masked = self._head[1] & 0x7F, self._head[1] >> 7
        return 2 + {126: 2, 127: 8}.get(length, 0) + 4 * masked - len(self._head)

    def _begin(self) -> None:
        length = self._head[1] & 0x7F
        if length > 125:
            length = int.from_bytes(self._head[2 : 4 if length == 126 else 10], "big")
        self._left = length
        self._is_data = self._head[0] & 0xF < CONTROL
        self._is_last = bool(self._head[0] >> 7)
        self._head.clear()
