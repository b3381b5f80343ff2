"""One request to a server, one WebSocket opened; what goes wrong becomes an error of `common.errors`."""

from __future__ import annotations

import json
import os
from typing import Any, TypeAlias

import aiohttp

from common.errors import Busy, TimbreError, error_types
from service.protocol import Failure, Ready, Start, code_of, encode, parse_server

Answer: TypeAlias = dict[str, Any]
"""The JSON of an answer, as PROTOCOL.md describes it."""
Socket: TypeAlias = aiohttp.ClientWebSocketResponse

TIMEOUT = aiohttp.ClientTimeout(total=120, connect=10)
READY_S = 10
HEARTBEAT_S = 10
"""A connection that does not answer a ping within half of this is taken as lost."""
REFUSED = 400


class Unreachable(TimbreError):
    """No Timbre server answers at this address, or it went away."""

    status = 503
    title = "Unreachable"


# Statuses of proxies and of ours that name no class of their own; what stands between us and a
# server comes and goes.
OTHERS: dict[int, type[TimbreError]] = {502: Unreachable, 503: Busy, 504: Unreachable}


async def request(session: aiohttp.ClientSession, method: str, url: str, **request: Any) -> Answer:
    """Return the JSON a server answers. Raises the error it answers with, or Unreachable."""
    try:
        async with session.request(method, url, timeout=TIMEOUT, **request) as response:
            status, body = response.status, await response.read()
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(url, error) from error
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if status >= REFUSED:
        raise problem(status, answer)
    if not isinstance(answer, dict):
        raise Unreachable(f"what answers at {url} is no Timbre server")
    return answer


async def connect(session: aiohttp.ClientSession, url: str) -> Socket:
    """Return an open WebSocket. Raises the server's refusal, or Unreachable."""
    try:
        return await session.ws_connect(url, heartbeat=HEARTBEAT_S)
    except aiohttp.WSServerHandshakeError as error:
        if error.status >= REFUSED:
            raise await _reason(session, url, error.status) from error
        raise unreachable(url, error) from error
    except (aiohttp.ClientError, OSError) as error:
        raise unreachable(url, error) from error


async def _reason(session: aiohttp.ClientSession, url: str, status: int) -> TimbreError:
    """Return why a handshake was refused: its body is out of reach, but the same request without the upgrade has it."""
    try:
        await request(session, "GET", url)
    except TimbreError as error:
        if error.status == status:
            return error
    return problem(status, None)


async def handshake(socket: Socket, start: Start) -> Ready:
    """Send `start` and return the `ready`. Raises the server's refusal, or Unreachable."""
    try:
        await socket.send_str(encode(start))
        message = await socket.receive(READY_S)
    except (OSError, TimeoutError) as error:
        raise Unreachable(f"no answer to start: {error or 'timeout'}") from error
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise error_of_close(socket)
    event = parse_server(message.data)
    if isinstance(event, Failure):
        raise refusal(event)
    if not isinstance(event, Ready):
        raise Unreachable(f"{event.type!r} came instead of 'ready'")
    return event


def unreachable(url: str, error: Exception) -> Unreachable:
    """Return the error that says where nobody answers, and what that means."""
    base, errno = url.partition("/v1/")[0], getattr(error, "errno", None)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = getattr(error.certificate_error, "verify_message", error.certificate_error)
        return Unreachable(f"{base} shows a certificate that is not trusted here: {why}")
    if isinstance(error, aiohttp.ClientSSLError):
        return Unreachable(f"{base} speaks no TLS that is understood here: {error}")
    reason = (
        os.strerror(errno).lower() if errno and errno > 0 else str(error) or type(error).__name__
    )
    return Unreachable(f"cannot reach {base} ({reason}): is `timbre serve` running?")


def problem(status: int, answer: object) -> TimbreError:
    """Return the error a problem document (RFC 9457) tells of; anything else stays a bare status."""
    document = answer if isinstance(answer, dict) else {}
    title, detail = (
        document.get("title"),
        document.get("detail") or f"the server answered HTTP {status}",
    )
    by_title = next((kind for kind in error_types() if kind.title == title), None)
    by_status = next(
        (kind for kind in error_types() if kind.status == status != TimbreError.status), None
    )
    return (by_title or OTHERS.get(status) or by_status or TimbreError)(detail)


def refusal(event: Failure) -> TimbreError:
    """Return the error that an `error` message tells of."""
    kind = next((kind for kind in error_types() if code_of(kind("")) == event.code), TimbreError)
    return kind(event.detail)


def error_of_close(socket: Socket) -> TimbreError:
    """Return the error a close code stands for; a lost connection is Unreachable."""
    code = socket.close_code
    kind = next(
        (kind for kind in error_types() if kind.close_code == code != TimbreError.close_code),
        Unreachable,
    )
    return kind(f"the connection closed with code {code}")
