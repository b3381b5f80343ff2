"""One client's WebSocket: messages in and out, bounded in time and size; error and close codes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable

from aiohttp import WSMessage, WSMsgType, web

from common.errors import TimbreError, TooLarge
from service import protocol
from service.settings import Settings

SEND_BUFFER = 2**17
"""Bytes that the kernel buffers for a client that does not read; more would only hide it."""
OVERSIZE = 4
"""Times the bound of a message up to which one is still read, to send an error that names the size;
with a longer one the connection is closed."""
CLOSE_TIMEOUT_S = 2.0
"""Seconds a client has to answer a close."""


class ConnectionLost(Exception):
    """The client has disconnected or does not read: nothing more can be sent."""


class Connection:
    """Typed messages over an accepted WebSocket."""

    def __init__(self, websocket: web.WebSocketResponse, settings: Settings) -> None:
        self._websocket = websocket
        self._settings = settings
        connection = websocket.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    async def receive(self, *, timeout_s: float) -> protocol.ClientMessage | bytes:
        """Return the next message.

        Raises TimeoutError, InputError on an invalid message, Busy without room for one,
        ConnectionLost.
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
        await self._bounded(self._websocket.send_str(protocol.encode(message)))

    async def _next(self, timeout_s: float) -> WSMessage:
        """Return the next message of any kind, sending pings while the client sends nothing.

        Raises TimeoutError, ConnectionLost.
        """
        # aiohttp's own heartbeat re-arms itself after the close and keeps every closed stream in
        # memory.
        while True:
            wait = min(timeout_s, self._settings.heartbeat)
            try:
                return await self._websocket.receive(timeout=wait)
            except TimeoutError:
                timeout_s -= wait
                if timeout_s <= 0:
                    raise
                await self._bounded(self._websocket.ping())

    async def _bounded(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._settings.send_timeout):
                await sending
        except (TimeoutError, ConnectionError) as error:
            self._abort()
            raise ConnectionLost(
                f"did not read within {self._settings.send_timeout:g} s: {error!r}"
            ) from error

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
        transport = self._websocket.get_extra_info("transport")
        if transport is not None:
            transport.abort()
