"""The protocol of a connection: what aiohttp rejects itself gets a problem document as well."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import InvalidURLError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from service.api.middleware import unread_id, unread_problem
from service.log import reference


class HTTPProtocol(RequestHandler):
    """Reads requests and answers them; errors that no middleware sees get our form here."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer bytes that are no request, and close the connection.

        aiohttp's answer is text that repeats the line it could not read.
        """
        request_id = unread_id()
        token = reference.set(request_id)
        try:
            super().handle_error(request, status, exc, message)
        finally:
            reference.reset(token)
        response = unread_problem(status, _reason(exc, message), request_id=request_id)
        response.force_close()
        return response


def protocol(server: web.Server) -> HTTPProtocol:
    """Return the protocol of a new connection of a server."""
    options = server._kwargs  # noqa: SLF001 - as Server does, which has its own class only
    return HTTPProtocol(server, loop=asyncio.get_running_loop(), **options)


def _reason(error: BaseException | None, message: str | None) -> str:
    """Return what is wrong with a request, without repeating it."""
    if isinstance(error, LineTooLong):
        return "a line of the request's head is too long"
    if isinstance(error, InvalidURLError):
        return "the request's target is not a valid URL"
    lines = (message or "").splitlines()
    return lines[0].rstrip(": ") if lines else "the request cannot be read"
