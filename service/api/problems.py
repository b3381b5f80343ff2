"""Errors as RFC 9457 problem documents: one shape on every route."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from common.errors import Busy, Leaving, TimbreError, Unauthorised
from service.log import redact, unexpected
from service.protocol import code_of

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every error as a problem document; what is not meant for strangers is logged and not told."""
    try:
        return await handler(request)
    except TimbreError as error:
        return of(error)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return of_http(error)
    except Exception as error:  # noqa: BLE001 - the last line of defence
        return of(unexpected(error))


def of(error: TimbreError) -> web.Response:
    """Return the document of one of our own errors."""
    headers = {}
    if isinstance(error, Busy | Leaving):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorised):
        headers["WWW-Authenticate"] = 'Bearer realm="timbre"'
    return _document(error.status, code_of(error), error.title, str(error), headers)


def of_http(error: web.HTTPException) -> web.Response:
    """Return the document of one of aiohttp's errors, such as 404 and 405."""
    headers = {}
    detail = error.reason
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        detail = f"{error.method} is not allowed here; allowed: {headers['Allow']}"
    if isinstance(error, web.HTTPNotFound):
        detail = "no such path"
    if isinstance(error, web.HTTPBadRequest):
        detail = error.text or error.reason
    title = HTTPStatus(error.status).phrase.capitalize()
    return _document(error.status, title.lower().replace(" ", "-"), title, detail, headers)


def _document(
    status: int, code: str, title: str, detail: str, headers: dict[str, str]
) -> web.Response:
    return web.json_response(
        {
            "type": f"urn:timbre:problem:{code}",
            "title": title,
            "status": status,
            "detail": redact(detail),
        },
        status=status,
        headers=headers,
        content_type="application/problem+json",
    )
