"""Counts the bytes of WebSocket messages that are not complete against a common budget."""

from __future__ import annotations

from typing import Any, Protocol

from aiohttp import WSMessage, WSMsgType

from common.budget import Reservation
from common.errors import Busy

UNCOUNTED = 2**16
"""Bytes of a message that are not counted: so many of each stream the budget never sees, so that
request bodies which fill it end no stream of short messages."""
PIECE = 64
"""Bytes of memory that a piece of a frame costs besides its own."""


class Messages(Protocol):
    """The queue that a reader fills."""

    delivered: int
    """Bytes of all complete messages."""

    def feed_data(self, data: Any, size: int) -> None:
        """Take a message."""

    def feed_eof(self) -> None:
        """Take note of the end."""


class BoundedReader:
    """Stands before aiohttp's reader of frames, which bounds the message of each stream alone.

    Past the budget, the next message that is received is an ERROR of Busy, and nothing more comes.
    """

    def __init__(self, reader: Any, messages: Messages, memory: Reservation) -> None:
        """messages: the queue that the reader fills. memory: held by whoever ends the stream."""
        self._reader = reader
        self._messages = messages
        self._memory = memory
        self.unfinished = 0
        """Bytes in memory of the message that is not complete, at least."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Pass on what was received, until there is no room for it."""
        if self._reader is None:
            # Still taken from the socket: with unread bytes its close would discard the error.
            return False, b""
        delivered = self._messages.delivered
        answer: tuple[bool, bytes] = self._reader.feed_data(data)
        self.unfinished += len(data) + PIECE
        if complete := self._messages.delivered - delivered:
            # What is left of these bytes belongs to the next message.
            self.unfinished = min(max(0, self.unfinished - complete), len(data))
        counted = max(0, self.unfinished - UNCOUNTED)
        if counted != self._memory.amount:
            try:
                self._memory.resize(counted)
            except Busy as error:
                self._reader = None
                self._messages.feed_data(WSMessage(WSMsgType.ERROR, error, ""), 0)
        return answer

    def feed_eof(self) -> None:
        """Tell the end of the connection."""
        self._messages.feed_eof()
