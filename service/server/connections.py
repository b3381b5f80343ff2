"""The way in: TLS, how many connections, how long a request's head may take, and what is told of broken ones."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from contextlib import suppress
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service.log import log, trace
from service.server.tls import Certificate
from service.settings import Settings

BACKLOG = 1_024
"""Connections the kernel keeps until they are accepted."""
TELL_S = 1.0
"""How often a full house is logged."""
PAUSE_S = 1.0
"""How long nobody is let in when the system has no handle for one more."""
HANDSHAKE_S = 10.0
STALLED_S = 30.0
"""Where the kernel can: a connection that takes nothing of what was sent for so long is cut."""
OTHER_HANDLES = 256
"""Files, pipes and connections that are no client's."""
FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\n\r\n"
    b'{"type": "urn:timbre:problem:busy", "title": "Busy", "status": 503, "detail": "too many connections"}'
)


def runner(app: web.Application, settings: Settings, *, shutdown_s: float) -> web.AppRunner:
    """Return what runs the application, with our bounds in the place of aiohttp's."""
    # What a page offers as subprotocols may hold its key.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
    return web.AppRunner(
        app,
        access_log=None,
        # A client that leaves takes its jobs along.
        handler_cancellation=True,
        shutdown_timeout=shutdown_s,
        keepalive_timeout=settings.head_timeout,
        # Nobody needs a compressed body, and a small one may hide a huge one.
        auto_decompress=False,
        logger=_logger(),
    )


class Listening(Protocol):
    """What lets connections in until it is closed."""

    def close(self) -> None:
        """Let nobody in any more."""


async def listen(running: web.AppRunner, listener: socket.socket, settings: Settings) -> Listening:
    """Accept connections from now on. Raises Unprocessable when the TLS files cannot be used."""
    assert running.server is not None  # it is set up
    certificate = Certificate(settings.tls_certificate, settings.tls_key)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; the connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1e3 * STALLED_S))
    doorman = ConnectionLimiter(running.server, limit=_allow_handles(settings.max_connections))
    if certificate.context:
        return TLSListener(listener, doorman, certificate)
    return await asyncio.get_running_loop().create_server(doorman, sock=listener, backlog=BACKLOG)


class ConnectionLimiter:
    """Makes the protocol of each new connection. When the house is full, one that asks for nothing has to go."""

    def __init__(self, server: web.Server, *, limit: int) -> None:
        self._server = server
        self._limit = limit
        self.handshakes: dict[asyncio.Task[Any], None] = {}
        """Connections whose TLS is being agreed on, the oldest first."""
        self._unsaid = 0
        self._silent_until = 0.0

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of one more connection."""
        connections = self._server.connections
        if len(connections) + len(self.handshakes) < self._limit:
            return self._server()
        # Who has not even finished the handshake goes first; the oldest come first.
        handshake = next(iter(self.handshakes), None)
        idle = None if handshake else next((each for each in connections if _idle(each)), None)
        closed = (
            "one without TLS yet" if handshake else "the newest" if idle is None else "an idle one"
        )
        self._tell(closed)
        if handshake:
            self.handshakes.pop(handshake)
            handshake.cancel()
        elif idle is None:
            return ServiceUnavailable()
        else:
            _abort(idle)
        return self._server()

    def _tell(self, closed: str) -> None:
        """Log a line, but not one for each connection: whoever opens thousands would fill the disk with them."""
        self._unsaid += 1
        if time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + TELL_S
            opened, shaking = len(self._server.connections), len(self.handshakes)
            log(
                "too many connections",
                open=opened,
                handshakes=shaking,
                closed=closed,
                times=self._unsaid,
            )
            self._unsaid = 0


class TLSListener:
    """Where TLS is agreed on: within a time, and by so many at once as there may be connections."""

    def __init__(
        self, listener: socket.socket, doorman: ConnectionLimiter, certificate: Certificate
    ) -> None:
        """Accept connections from now on."""
        self._listener, self._doorman, self._certificate = listener, doorman, certificate
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._accepting = asyncio.create_task(self._accept())
        self._accepting.add_done_callback(lambda _: listener.close())

    def close(self) -> None:
        """Let nobody in any more; those in the middle of a handshake are sent away."""
        for each in (self._accepting, *self._doorman.handshakes):
            each.cancel()

    async def _accept(self) -> None:
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError as error:
                # What is lacking may be there again later; asked at once, it would be asked without
                # a pause.
                log("cannot accept connections", why=error.strerror)
                await asyncio.sleep(PAUSE_S)
                continue
            try:
                self._shake_hands(connection)
            except Exception as error:  # noqa: BLE001 - a door that falls shut stays shut
                trace(error)
                connection.close()

    def _shake_hands(self, connection: socket.socket) -> None:
        # What it is spoken with from its first byte on.
        self._certificate.refresh()
        protocol = self._doorman()
        agreeing = asyncio.get_running_loop().connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=self._certificate.context,
            ssl_handshake_timeout=HANDSHAKE_S,
        )
        handshake = asyncio.create_task(agreeing)
        self._doorman.handshakes[handshake] = None
        handshake.add_done_callback(lambda task: self._agreed(task, connection))

    def _agreed(self, handshake: asyncio.Task[Any], connection: socket.socket) -> None:
        self._doorman.handshakes.pop(handshake, None)
        if handshake.cancelled() or handshake.exception():
            connection.close()


class ServiceUnavailable(asyncio.Protocol):
    """Says that there is no room, and hangs up."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Answer before anything is asked."""
        # A cast, for uvloop's transports are of no class of asyncio's.
        writable = cast("asyncio.Transport", transport)
        writable.write(FULL)
        writable.close()


def _abort(connection: RequestHandler) -> None:
    """Close without waiting for what was not taken yet."""
    transport = connection.transport
    connection.force_close()
    if transport is not None:
        transport.abort()


def _allow_handles(connections: int) -> int:
    """Return how many connections there may be, at most so many; raise the process's limit of handles as far as it may.

    1,024, as it often is, are soon taken; without one left not even a refusal can be said, and no
    file be read.
    """
    try:
        import resource
    except ImportError:  # Windows
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_HANDLES
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft == resource.RLIM_INFINITY or soft >= connections + OTHER_HANDLES:
        return connections
    room = max(soft - OTHER_HANDLES, soft // 2)
    log(
        "few handles",
        allowed=soft,
        wanted=connections + OTHER_HANDLES,
        connections=room,
        see="ulimit -n",
    )
    return min(connections, room)


def _idle(connection: RequestHandler) -> bool:
    """Return whether a connection waits for a request's head to be whole, and was not told to go yet."""
    waiter = connection._waiter  # noqa: SLF001 - aiohttp says it nowhere else
    return waiter is not None and not waiter.done()


def _logger() -> logging.Logger:
    """Return what aiohttp tells its troubles to: one line of ours, without the bytes that gave the trouble."""
    logger = logging.Logger("timbre.http", logging.WARNING)  # noqa: LOG001 - in no hierarchy: nobody else configures it
    logger.addHandler(_Short())
    return logger


class _Short(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        log("http trouble", error=error.__name__ if error else record.levelname)
