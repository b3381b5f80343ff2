"""One client's WebSocket: messages in and out, bounded in time and size, and the close that explains itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable

from aiohttp import WSMessage, WSMsgType, web

from common.errors import TimbreError, TooLarge
from service import protocol
from service.settings import Settings

SEND_BUFFER = 2**17
"""Bytes the kernel keeps for a client that does not read; more would only hide that it does not."""
UNREAD = 4
"""Times the bound of a message up to which one is read, so as to say what is wrong; a longer one is
cut off."""
CLOSE_TIMEOUT = 2.0
"""Seconds a client has to answer a close."""


class ConnectionLost(Exception):
    """The client is not there any more, or does not read: there is nobody to tell anything."""


class Connection:
    """Typed messages over an accepted WebSocket."""

    def __init__(self, websocket: web.WebSocketResponse, settings: Settings) -> None:
        self._websocket = websocket
        self._settings = settings
        connection = websocket.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)

    async def receive(self, *, seconds: float) -> protocol.ClientMessage | bytes:
        """Return the next message. Raises TimeoutError, InputError on text that is no message, Gone."""
        message = await self._next(seconds)
        if message.type is WSMsgType.BINARY:
            if len(message.data) > self._settings.max_message:
                bound = self._settings.max_message
                raise TooLarge(f"a message of {len(message.data)} bytes; at most {bound} are taken")
            return bytes(message.data)
        if message.type is not WSMsgType.TEXT:
            raise ConnectionLost(f"{message.type.name.lower()} {message.data or ''}")
        if len(message.data) > self._settings.max_text:
            raise TooLarge(
                f"text of {len(message.data)} characters; at most {self._settings.max_text} are taken"
            )
        return protocol.parse_client(message.data)

    async def send(self, message: protocol.ServerMessage) -> None:
        """Send, waiting while the client does not read. Raises Gone when it takes too long."""
        await self._bounded(self._websocket.send_str(protocol.encode(message)))

    async def _next(self, seconds: float) -> WSMessage:
        """Return the next message of any kind, with pings in times of quiet. Raises TimeoutError, Gone."""
        # aiohttp's own heartbeat re-arms itself after the close, and so keeps every closed stream
        # in memory.
        while True:
            wait = min(seconds, self._settings.heartbeat)
            try:
                return await self._websocket.receive(timeout=wait)
            except TimeoutError:
                seconds -= wait
                if seconds <= 0:
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

    async def refuse(self, error: TimbreError) -> None:
        """Say what is wrong and close accordingly."""
        try:
            await self.send(protocol.failure(error))
        except ConnectionLost:
            return
        await self.close(error.close_code)

    async def close(self, code: int) -> None:
        """Close and wait for the client to agree, but not for long."""
        try:
            async with asyncio.timeout(2 * CLOSE_TIMEOUT):
                await self._websocket.close(code=code)
        except TimeoutError:
            self._abort()

    def _abort(self) -> None:
        """Drop the connection, with all that waits to be sent."""
        transport = self._websocket.get_extra_info("transport")
        if transport is not None:
            transport.abort()
