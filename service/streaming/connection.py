"""One client's WebSocket: messages in and out, bounded in time and size; error and close codes."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast

from aiohttp import WSMessage, WSMsgType, web
from aiohttp._websocket.reader import WebSocketDataQueue, WebSocketReader
from aiohttp._websocket.writer import WebSocketWriter
from aiohttp.web_request import BaseRequest

from common.budget import Reservation
from common.errors import TimbreError, TooLarge
from service import protocol
from service.settings import Settings
from service.streaming.accounting import Arrivals
from service.streaming.bounded_reader import BoundedReader

SEND_BUFFER = 2**17
"""Bytes that the kernel buffers for a client that does not read; more would only hide it."""
OVERSIZE = 4
"""Times the bound of a message up to which one is still read, to send an error that names the size;
with a longer one the connection is closed."""
CLOSE_TIMEOUT_S = 2.0
"""Seconds a client has to answer a close."""
MAX_GATHERED = 2**18
"""Bytes of audio of one stream that wait for its turn; past it the socket is not read."""
CONTROL = (WSMsgType.PING, WSMsgType.PONG)
SMALL_BUFFER = 2**14
"""Unsent bytes up to which another message is sent without a time limit: it does not wait."""


class ConnectionLost(Exception):
    """The client has disconnected or does not read: nothing more can be sent."""


class Inbox(WebSocketDataQueue):
    """Gathers audio as aiohttp parses it; everything else waits for `Connection.receive`.

    A task that woke up for each small message would cost more than the features of its sound.
    """

    def __init__(self, connection: Any, settings: Settings) -> None:
        """connection: aiohttp's protocol, whose reading is paused and resumed."""
        super().__init__(connection, MAX_GATHERED, loop=asyncio.get_running_loop())
        self.heard = time.monotonic()
        """When the last message was read."""
        self.delivered = 0
        """Bytes of complete messages."""
        self._aiohttp = connection
        self._max_message = settings.max_message
        self._arrivals: Arrivals | None = None
        self._early: list[tuple[bytes, float]] = []
        self._on_due: Callable[[], None]
        self._begun = self._ended = self._paused = False

    def gather(self, arrivals: Arrivals, on_due: Callable[[], None]) -> None:
        """Put audio into `arrivals` from now on; `on_due` is called when a turn is due."""
        self._arrivals, self._on_due = arrivals, on_due
        for message, read in self._early:
            arrivals.add(message, read)
        if self._early:
            self._early.clear()
            on_due()

    def feed_data(self, data: Any, size: int) -> None:
        """Take a message that was read."""
        self.heard = time.monotonic()
        kind = data[0]
        if kind in CONTROL:
            super().feed_data(data, size)
            return
        self.delivered += size
        if self._ended:
            return  # what follows the last message is not read
        if kind is WSMsgType.BINARY and self._begun and size <= self._max_message:
            self._gather(data[1])
        else:
            # After `start`, every text ends the stream.
            self._ended = self._begun or kind is not WSMsgType.TEXT
            self._begun = True
            super().feed_data(data, size)

    def _gather(self, message: bytes) -> None:
        if self._arrivals is None:
            self._early.append((message, self.heard))
            self._pause()
            return
        due = self._arrivals.add(message, self.heard)
        if self._arrivals.size > MAX_GATHERED:
            self._pause()
            due = True
        if due:
            self._on_due()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._aiohttp.pause_reading()

    def resume(self) -> None:
        """Read again after what was gathered is taken."""
        if self._paused:
            self._paused = False
            assert self._arrivals is not None
            self._arrivals.unread()
            self._aiohttp.resume_reading()


class LiveWebSocket(web.WebSocketResponse):
    """A WebSocket whose messages go through an `Inbox`."""

    inbox: Inbox
    transport: asyncio.Transport

    def __init__(
        self, settings: Settings, memory: Reservation, *, protocols: tuple[str, ...] = ()
    ) -> None:
        """memory: of its unfinished message."""
        super().__init__(
            max_msg_size=OVERSIZE * settings.max_message,
            compress=False,
            timeout=CLOSE_TIMEOUT_S,
            protocols=protocols,
        )
        self._settings = settings
        self._memory = memory

    def _post_start(
        self, request: BaseRequest, protocol: str | None, writer: WebSocketWriter
    ) -> None:
        # Replaces aiohttp's: it has no public way to another queue.
        assert request.transport is not None  # else aiohttp's `_pre_start` has raised
        self.transport = request.transport
        self._ws_protocol, self._writer = protocol, writer
        self._reader = self.inbox = Inbox(request.protocol, self._settings)
        self._parser = WebSocketReader(
            self.inbox, self._max_msg_size, compress=False, decode_text=True
        )
        bounded = BoundedReader(self._parser, self.inbox, self._memory)
        request.protocol.set_parser(cast("WebSocketReader", bounded))
        request.protocol.keep_alive(False)


class Connection:
    """Typed messages over an accepted WebSocket."""

    def __init__(self, websocket: LiveWebSocket, settings: Settings) -> None:
        self._websocket = websocket
        self._settings = settings
        connection = websocket.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    @property
    def inbox(self) -> Inbox:
        """What was read and is not processed."""
        return self._websocket.inbox

    async def receive(self, *, timeout_s: float) -> protocol.ClientMessage | bytes:
        """Return the next message that is not gathered.

        Raises TimeoutError when no message of any kind was read for so long, InputError on an
        invalid message, Busy without room for one, ConnectionLost.
        """
        message = await self._next(timeout_s)
        if message.type is WSMsgType.BINARY:
            if len(message.data) > self._settings.max_message:
                raise TooLarge(
                    f"a message of {len(message.data)} bytes;"
                    f" at most {self._settings.max_message} are accepted"
                )
            return bytes(message.data)
        if message.type is WSMsgType.ERROR and isinstance(message.data, TimbreError):
            raise message.data
        if message.type is not WSMsgType.TEXT:
            raise ConnectionLost(f"{message.type.name.lower()} {message.data or ''}")
        if len(message.data) > self._settings.max_text:
            raise TooLarge(
                f"text of {len(message.data)} characters;"
                f" at most {self._settings.max_text} are accepted"
            )
        return protocol.parse_client(message.data)

    async def send(self, message: protocol.ServerMessage) -> None:
        """Send; wait while the client does not read. Raises ConnectionLost after `send_timeout`."""
        sending = self._websocket.send_str(protocol.encode(message))
        if self._websocket.transport.get_write_buffer_size() <= SMALL_BUFFER:
            await self._unbounded(sending)
        else:
            await self._bounded(sending)

    async def _next(self, timeout_s: float) -> WSMessage:
        """Return the next message of any kind, sending pings while the client sends nothing.

        Raises TimeoutError, ConnectionLost.
        """
        # aiohttp's own heartbeat re-arms itself after the close and keeps every closed stream in
        # memory.
        heartbeat = self._settings.heartbeat
        pinged = began = time.monotonic()
        while True:
            now = time.monotonic()
            heard = max(began, self.inbox.heard)
            if (left_s := heard + timeout_s - now) <= 0:
                raise TimeoutError
            if (silent_s := now - max(heard, pinged)) >= heartbeat:
                pinged, silent_s = now, 0.0
                await self._bounded(self._websocket.ping())
            with suppress(TimeoutError):
                return await self._websocket.receive(timeout=min(left_s, heartbeat - silent_s))

    async def _bounded(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._settings.send_timeout):
                await sending
        except (TimeoutError, ConnectionError) as error:
            self._abort()
            raise ConnectionLost(
                f"did not read within {self._settings.send_timeout:g} s: {error!r}"
            ) from error

    async def _unbounded(self, sending: Awaitable[None]) -> None:
        try:
            await sending
        except ConnectionError as error:
            self._abort()
            raise ConnectionLost(f"{error!r}") from error

    async def reject(self, error: TimbreError) -> None:
        """Send an error message and close with its code."""
        try:
            await self.send(protocol.failure(error))
        except ConnectionLost:
            return
        await self.close(error.close_code)

    async def close(self, code: int) -> None:
        """Close and wait for the client's close, at most twice CLOSE_TIMEOUT_S."""
        try:
            async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                await self._websocket.close(code=code)
        except TimeoutError:
            self._abort()

    def _abort(self) -> None:
        """Drop the connection and everything that is not sent."""
        self._websocket.transport.abort()
