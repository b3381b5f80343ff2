"""The way in: TLS, how many connections, how long a request's head may take, and what is told of broken ones."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from typing import cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from service.log import log
from service.settings import Settings
from service.tls import Certificate

BACKLOG = 1_024
"""Connections the kernel keeps until they are accepted."""
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


async def open_door(running: web.AppRunner, listener: socket.socket, settings: Settings) -> asyncio.Server:
    """Accept connections from now on. Raises Unprocessable when the TLS files cannot be used."""
    assert running.server is not None  # it is set up
    certificate = Certificate(settings.tls_certificate, settings.tls_key)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux; the connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(1e3 * STALLED_S))
    _allow_handles(settings.max_connections + OTHER_HANDLES)
    doorman = Doorman(running.server, limit=settings.max_connections, certificate=certificate)
    return await asyncio.get_running_loop().create_server(
        doorman,
        sock=listener,
        backlog=BACKLOG,
        ssl=certificate.context,
        ssl_handshake_timeout=HANDSHAKE_S if certificate.context else None,
    )


class Doorman:
    """Makes the protocol of each new connection. When the house is full, one that asks for nothing has to go."""

    def __init__(self, server: web.Server, *, limit: int, certificate: Certificate) -> None:
        self._server = server
        self._limit = limit
        self._certificate = certificate

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of one more connection."""
        # What it is spoken with from its first byte on.
        self._certificate.refresh()
        connections = self._server.connections
        if len(connections) >= self._limit:
            # The oldest come first.
            idle = next((each for each in connections if _idle(each)), None)
            log("too many connections", open=len(connections), closed="the newest" if idle is None else "an idle one")
            if idle is None:
                return Refusal()
            _abort(idle)
        return self._server()


class Refusal(asyncio.Protocol):
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


def _allow_handles(count: int) -> None:
    """Raise the process's own limit of open handles as far as it may: 1,024, as it often is, are soon taken."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    if soft != resource.RLIM_INFINITY and soft < count:
        log("few handles", allowed=soft, wanted=count, see="ulimit -n, max_connections")


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
