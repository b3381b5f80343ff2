"""Around every request: its id, one log line, and errors as RFC 9457 problem documents."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from common.errors import Busy, Leaving, TimbreError, Unauthorised, Unsupported
from service.api.authentication import KEY_LIMITS, METRICS, PROBES, route_of
from service.api.context import GATEWAY
from service.api.request_trace import begin_request, end_request
from service.api.responses import json_response
from service.log import bound, log, redact, reference, unexpected
from service.protocol import code_of
from service.tracing.spans import current, read_traceparent, trace_details

ID = web.RequestKey("id", str)
BEGIN = web.RequestKey("begin", float)
"""time.perf_counter() of a request that is not counted yet."""
REQUEST_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
"""An X-Request-Id that is accepted; any other is replaced."""
SERVER = "timbre"
NO_ROUTE = "none"
CLIENT_LEFT = 499
"""Told of a request whose client closed the connection before the response."""
OPEN_INFERENCE = "/v2"
"""How the paths of the Open Inference Protocol begin."""
NOT_IN_OPEN_INFERENCE = re.compile(
    r"/v2/(?:(logging|systemsharedmemory|cudasharedmemory)(?:/.*)?|(?:models/[^/]+/)?(trace)/.*)"
)
"""What Triton's clients ask for that this server does not have."""


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, bind it for log lines, and log the response."""
    sent_id = request.headers.get("X-Request-Id", "")
    request[ID] = sent_id if REQUEST_ID.fullmatch(sent_id) else request.app[GATEWAY].new_id()
    caller = read_traceparent(request.headers.get("traceparent", ""))
    tracer = request.app[GATEWAY].tracer
    span = None if tracer is None else begin_request(tracer, request, caller, id_=request[ID])
    details = trace_details(span.context if span else caller)
    tokens = reference.set(request[ID]), bound.set(details), current.set(span)
    begin = request[BEGIN] = time.perf_counter()
    status = None
    try:
        response = await handler(request)
        status = response.status
    except asyncio.CancelledError:
        _count(request, CLIENT_LEFT)
        raise
    else:
        if request.path not in (*PROBES, METRICS):
            ms = 1e3 * (time.perf_counter() - begin)
            key = {"key": request[KEY_LIMITS].key.id} if KEY_LIMITS in request else {}
            log(request.method, path=request.path, status=response.status, ms=ms, **key)
        return response
    finally:
        if span is not None:
            end_request(span, status)
        reference.reset(tokens[0])
        bound.reset(tokens[1])
        current.reset(tokens[2])


def _count(request: web.Request, status: int) -> None:
    """Count a request once, before its response is sent: what a client has is counted."""
    begin = request.pop(BEGIN, None)
    if begin is None:
        return
    gateway = request.app[GATEWAY]
    route, name = route_of(request) or NO_ROUTE, request.match_info.get("name", "")
    # Any other name is the client's, and of those there is no end.
    model = name if name in gateway.registry.served else ""
    gateway.metrics.requests.add(route, model, str(status))
    gateway.metrics.request_seconds.observe(time.perf_counter() - begin, route)


async def name_response(request: web.Request, response: web.StreamResponse) -> None:
    """Send the request's id, and no version numbers; count the response."""
    response.headers["Server"] = SERVER
    # Missing when aiohttp rejects a request before any middleware runs.
    if ID in request:
        response.headers["X-Request-Id"] = request[ID]
        _count(request, response.status)


def check_expectations(app: web.Application) -> None:
    """Answer an unknown Expect with a problem document, whatever bytes it has.

    aiohttp looks at it before any middleware runs, and fails where it is not text.
    """
    handle = app._handle  # noqa: SLF001

    async def checked(request: web.Request) -> web.StreamResponse:
        expected = request.headers.get("Expect", "")
        if expected and expected.lower() != "100-continue":
            detail = f"unknown Expect {expected!r:.80}; only 100-continue is supported"
            return unread_problem(
                HTTPStatus.EXPECTATION_FAILED,
                detail,
                request_id=unread_id(),
                request=request,
            )
        return await handle(request)

    object.__setattr__(app, "_handle", checked)


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer errors as problem documents; what clients must not see is only logged."""
    try:
        return await handler(request)
    except TimbreError as error:
        return problem(error, request)
    except web.HTTPException as error:
        if error.status < HTTPStatus.BAD_REQUEST:
            raise
        return http_problem(error, request)
    except Exception as error:  # noqa: BLE001 - a fault answers 500, it ends nothing
        return problem(unexpected(error), request)


def problem(error: TimbreError, request: web.Request) -> web.Response:
    """Return the problem document of an error of ours."""
    headers = {}
    if isinstance(error, Busy | Leaving):
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthorised):
        headers["WWW-Authenticate"] = 'Bearer realm="timbre"'
    return _document(error.status, code_of(error), error.title, str(error), headers, request)


def http_problem(error: web.HTTPException, request: web.Request) -> web.Response:
    """Return the problem document of an error of aiohttp, such as 404 and 405."""
    headers = {}
    detail = error.reason
    lacking = NOT_IN_OPEN_INFERENCE.fullmatch(request.path)
    if lacking and isinstance(error, web.HTTPNotFound):
        part = lacking[1] or lacking[2]
        said = f"{part!r} is not supported; GET /v2 names the extensions that are"
        return problem(Unsupported(said), request)
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        detail = f"{error.method} is not allowed here; allowed: {headers['Allow']}"
    if isinstance(error, web.HTTPNotFound):
        detail = "no such path"
    if isinstance(error, web.HTTPBadRequest):
        detail = error.text or error.reason
    return _document(error.status, *_titled(error.status), detail, headers, request)


def _titled(status: int) -> tuple[str, str]:
    """Return the code and the title of an error of aiohttp."""
    title = HTTPStatus(status).phrase.capitalize()
    return title.lower().replace(" ", "-"), title


def unread_id() -> str:
    """Return an id for what no middleware gives one."""
    return uuid.uuid4().hex[:8]


def unread_problem(
    status: int, detail: str, *, request_id: str, request: web.Request | None = None
) -> web.Response:
    """Return the problem document of bytes that are no request, or of a fault before middleware."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        detail = f"a fault in the server; its log has it under {request_id}"
    headers = {"Server": SERVER, "X-Request-Id": request_id}
    return _document(status, *_titled(status), detail, headers, request)


def _document(
    status: int,
    code: str,
    title: str,
    detail: str,
    headers: dict[str, str],
    request: web.Request | None = None,
) -> web.Response:
    detail = redact(detail)
    # Clients of the Open Inference Protocol show nothing else.
    more = {"error": detail} if request and request.path.startswith(OPEN_INFERENCE) else {}
    return json_response(
        {
            "type": f"urn:timbre:problem:{code}",
            "title": title,
            "status": status,
            "detail": detail,
            **more,
        },
        status=status,
        headers=headers,
        content_type="application/problem+json",
    )
