"""Accepts connections: TLS handshakes, connection limit, header timeout, error logging."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service.log import FailureLog, log, trace
from service.server.http_protocol import protocol
from service.server.tls import Certificate
from service.settings import Settings

BACKLOG = 1_024
"""Length of the kernel's queue of connections to accept."""
LOG_S = 1.0
"""Least time between two log lines about too many connections."""
PAUSE_S = 1.0
"""Pause before the next accept after one failed, as for want of a file descriptor."""
HANDSHAKE_S = 10.0
STALLED_S = 30.0
"""A connection whose peer acknowledges nothing for so long is closed by the kernel (Linux)."""
OTHER_DESCRIPTORS = 256
"""File descriptors for what is not a client's connection."""
RESPONSE_503 = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\n"
    b"Retry-After: 1\r\nConnection: close\r\n\r\n"
    b'{"type": "urn:timbre:problem:busy", "title": "Busy", "status": 503, '
    b'"detail": "too many connections"}'
)


def runner(app: web.Application, settings: Settings, *, shutdown_s: float) -> web.AppRunner:
    """Return the runner of an application, with our limits instead of aiohttp's."""
    # It logs the subprotocols that a page offers, and these may hold its API key.
    logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)
    return web.AppRunner(
        app,
        access_log=None,
        # By default aiohttp finishes work whose client has disconnected.
        handler_cancellation=True,
        shutdown_timeout=shutdown_s,
        # This timer of aiohttp runs until the headers of the next request are complete.
        keepalive_timeout=settings.head_timeout,
        # Sound and pictures are compressed already, and a small body could expand to a huge one.
        auto_decompress=False,
        logger=_logger(),
    )


class Listener(Protocol):
    """Accepts connections until it is closed."""

    def close(self) -> None:
        """Stop accepting connections."""


async def listen(
    running: web.AppRunner,
    listener: socket.socket,
    settings: Settings,
    *,
    expires: Callable[[float], None] = lambda _: None,
) -> Listener:
    """Start to accept connections. Raises Unprocessable when the TLS files are unusable.

    expires: gets when the certificate expires, as of `Certificate`.
    """
    assert running.server is not None  # it is set up
    certificate = Certificate(settings.tls_certificate, settings.tls_key, expires=expires)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; the connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1e3 * STALLED_S))
    limiter = ConnectionLimiter(
        running.server, limit=_raise_descriptor_limit(settings.max_connections)
    )
    if certificate.context:
        return TLSListener(listener, limiter, certificate)
    return await asyncio.get_running_loop().create_server(limiter, sock=listener, backlog=BACKLOG)


class ConnectionLimiter:
    """Makes the protocol of a new connection; at the limit an idle one is closed for it."""

    def __init__(self, server: web.Server, *, limit: int) -> None:
        self._server = server
        self._limit = limit
        self.handshakes: dict[asyncio.Task[Any], None] = {}
        """Connections in their TLS handshake, oldest first."""
        self._unlogged = 0
        self._log_after = 0.0

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        connections = self._server.connections
        if len(connections) + len(self.handshakes) < self._limit:
            return protocol(self._server)
        # A connection without TLS yet has sent no request: to close it costs a client least.
        handshake = next(iter(self.handshakes), None)
        idle = None if handshake else next((open_ for open_ in connections if _idle(open_)), None)
        closed = (
            "one without TLS yet" if handshake else "the newest" if idle is None else "an idle one"
        )
        self._log(closed)
        if handshake:
            self.handshakes.pop(handshake)
            handshake.cancel()
        elif idle is None:
            return ServiceUnavailable()
        else:
            _abort(idle)
        return protocol(self._server)

    def _log(self, closed: str) -> None:
        """Log one line per second at most: thousands of connections would fill the disk."""
        self._unlogged += 1
        if time.monotonic() >= self._log_after:
            self._log_after = time.monotonic() + LOG_S
            opened = len(self._server.connections)
            log(
                "too many connections",
                open=opened,
                handshakes=len(self.handshakes),
                closed=closed,
                times=self._unlogged,
            )
            self._unlogged = 0


class TLSListener:
    """Accepts connections and does their TLS handshakes, each with a time limit."""

    def __init__(
        self, listener: socket.socket, limiter: ConnectionLimiter, certificate: Certificate
    ) -> None:
        """Start to accept connections."""
        self._listener, self._limiter, self._certificate = listener, limiter, certificate
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._accepting = asyncio.create_task(self._accept())
        self._accepting.add_done_callback(lambda _: listener.close())

    def close(self) -> None:
        """Stop accepting connections; those in their handshake are closed."""
        for task in (self._accepting, *self._limiter.handshakes):
            task.cancel()

    async def _accept(self) -> None:
        failure = FailureLog("cannot accept connections", "connections are accepted again")
        while True:
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(self._listener)
            except OSError as error:
                # The cause may pass, as when the process has too many files open; without a pause
                # this would be a busy loop.
                failure.failed(error.strerror)
                await asyncio.sleep(PAUSE_S)
                continue
            failure.worked()
            try:
                self._start_handshake(connection)
            except Exception as error:  # noqa: BLE001 - the server must keep accepting
                trace(error)
                connection.close()

    def _start_handshake(self, connection: socket.socket) -> None:
        # Before the handshake, which uses the certificate from its first byte.
        self._certificate.refresh()
        protocol = self._limiter()
        connecting = asyncio.get_running_loop().connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=self._certificate.context,
            ssl_handshake_timeout=HANDSHAKE_S,
        )
        handshake = asyncio.create_task(connecting)
        self._limiter.handshakes[handshake] = None
        handshake.add_done_callback(lambda task: self._handshake_done(task, connection))

    def _handshake_done(self, handshake: asyncio.Task[Any], connection: socket.socket) -> None:
        self._limiter.handshakes.pop(handshake, None)
        if handshake.cancelled() or handshake.exception():
            connection.close()


class ServiceUnavailable(asyncio.Protocol):
    """Sends 503 and closes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Respond before any request."""
        # A cast, for uvloop's transports are of no class of asyncio's.
        writable = cast("asyncio.Transport", transport)
        writable.write(RESPONSE_503)
        writable.close()


def _abort(connection: RequestHandler) -> None:
    """Close without waiting for unsent data."""
    transport = connection.transport
    connection.force_close()
    if transport is not None:
        transport.abort()


def _raise_descriptor_limit(connections: int) -> int:
    """Raise the process's file-descriptor limit for so many connections; return how many fit.

    The limit is often 1,024; without a free descriptor not even a 503 can be sent, nor a file read.
    """
    try:
        import resource
    except ImportError:  # Windows
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    required = connections + OTHER_DESCRIPTORS
    if hard != resource.RLIM_INFINITY:
        required = min(required, hard)
    if soft != resource.RLIM_INFINITY and soft < required:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (required, hard))
            soft = required
    if soft == resource.RLIM_INFINITY or soft >= connections + OTHER_DESCRIPTORS:
        return connections
    capacity = max(soft - OTHER_DESCRIPTORS, soft // 2)
    log(
        "file-descriptor limit low",
        allowed=soft,
        required=connections + OTHER_DESCRIPTORS,
        connections=capacity,
        see="ulimit -n",
    )
    return min(connections, capacity)


def _idle(connection: RequestHandler) -> bool:
    """Return whether a connection waits for the header of a request and is not being closed."""
    waiter = connection._waiter  # noqa: SLF001 - aiohttp has no public name for it
    return waiter is not None and not waiter.done()


def _logger() -> logging.Logger:
    """Return aiohttp's logger: one line of ours for an error, without the client's bytes."""
    # Outside the hierarchy of loggers, so that nothing else configures it.
    logger = logging.Logger("timbre.http", logging.WARNING)  # noqa: LOG001
    logger.addHandler(_OneLine())
    return logger


class _OneLine(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        log("HTTP error", error=error.__name__ if error else record.levelname)
