"""HTTP requests and WebSocket connections; failures become errors of `common.errors`."""

from __future__ import annotations

import os
from typing import Any, TypeAlias

import aiohttp

from common.errors import Busy, TimbreError, error_types
from common.mapping import parse_json
from service.protocol import Failure, Ready, Start, code_of, encode, parse_server

Response: TypeAlias = dict[str, Any]
"""The JSON of a response, as in PROTOCOL.md."""
Socket: TypeAlias = aiohttp.ClientWebSocketResponse

TIMEOUT = aiohttp.ClientTimeout(total=120, connect=10)
READY_S = 10
HEARTBEAT_S = 10
"""Seconds between pings; a connection without a pong within half of it is lost."""
FIRST_ERROR_STATUS = 400


class Unreachable(TimbreError):
    """No Timbre server responds at this address, or the connection was lost."""

    status = 503
    title = "Unreachable"


# Statuses of proxies, and of ours without a class of its own.
OTHERS: dict[int, type[TimbreError]] = {502: Unreachable, 503: Busy, 504: Unreachable}


async def request(
    session: aiohttp.ClientSession, method: str, url: str, **request: Any
) -> Response:
    """Return the JSON of a response. Raises the error of the response, or Unreachable."""
    try:
        async with session.request(method, url, timeout=TIMEOUT, **request) as response:
            status, body = response.status, await response.read()
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(url, error) from error
    try:
        document = parse_json(body, error=ValueError)
    except ValueError:
        document = None
    if status >= FIRST_ERROR_STATUS:
        raise problem(status, document)
    if not isinstance(document, dict):
        raise Unreachable(f"the server at {url} is not a Timbre server")
    return document


async def connect(session: aiohttp.ClientSession, url: str) -> Socket:
    """Return an open WebSocket. Raises the error of a rejection, or Unreachable."""
    try:
        return await session.ws_connect(url, heartbeat=HEARTBEAT_S)
    except aiohttp.WSServerHandshakeError as error:
        if error.status >= FIRST_ERROR_STATUS:
            raise await _reason(session, url, error.status) from error
        raise unreachable(url, error) from error
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(url, error) from error


async def _reason(session: aiohttp.ClientSession, url: str, status: int) -> TimbreError:
    """Return why a handshake was rejected, from the same request without the upgrade."""
    try:
        await request(session, "GET", url)
    except TimbreError as error:
        if error.status == status:
            return error
    return problem(status, None)


async def handshake(socket: Socket, start: Start) -> Ready:
    """Send `start` and return `ready`. Raises the error of a rejection, or Unreachable."""
    try:
        await socket.send_str(encode(start))
        message = await socket.receive(READY_S)
    except (OSError, TimeoutError) as error:
        raise Unreachable(f"no response to start: {error or 'timeout'}") from error
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise error_of_close(socket)
    event = parse_server(message.data)
    if isinstance(event, Failure):
        raise rejection(event)
    if not isinstance(event, Ready):
        raise Unreachable(f"{event.type!r} came instead of 'ready'")
    return event


def unreachable(url: str, error: Exception) -> Unreachable:
    """Return the error of a failed connection, with its address and cause."""
    base, errno = url.partition("/v1/")[0], getattr(error, "errno", None)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", error.certificate_error)
        return Unreachable(f"the certificate of {base} is not trusted here: {why}")
    if isinstance(error, aiohttp.ClientSSLError):
        return Unreachable(f"the TLS handshake with {base} failed: {error}")
    reason = (
        os.strerror(errno).lower() if errno and errno > 0 else str(error) or type(error).__name__
    )
    return Unreachable(f"cannot reach {base} ({reason}): is `timbre serve` running?")


def problem(status: int, body: object) -> TimbreError:
    """Return the error of a problem document (RFC 9457), or of the bare status."""
    document = body if isinstance(body, dict) else {}
    title, detail = (
        document.get("title"),
        document.get("detail") or f"the server answered HTTP {status}",
    )
    by_title = next((kind for kind in error_types() if kind.title == title), None)
    by_status = next(
        (kind for kind in error_types() if kind.status == status != TimbreError.status), None
    )
    return (by_title or OTHERS.get(status) or by_status or TimbreError)(detail)


def rejection(event: Failure) -> TimbreError:
    """Return the error of an `error` message."""
    kind = next((kind for kind in error_types() if code_of(kind("")) == event.code), TimbreError)
    return kind(event.detail)


def error_of_close(socket: Socket) -> TimbreError:
    """Return the error of a close code; a lost connection is Unreachable."""
    code = socket.close_code
    kind = next(
        (kind for kind in error_types() if kind.close_code == code != TimbreError.close_code),
        Unreachable,
    )
    return kind(f"the connection closed with code {code}")
