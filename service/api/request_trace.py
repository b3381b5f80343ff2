"""The span of a request, by OpenTelemetry's conventions of HTTP; it never has a query."""

from __future__ import annotations

import time

from aiohttp import web

from service.api.authentication import METRICS, PROBES
from service.log import redact
from service.tracing.spans import SERVER, Context, Span, Tracer, is_kept

MAX_PATH = 256


def begin_request(
    tracer: Tracer, request: web.Request, parent: Context | None, *, id_: str
) -> Span | None:
    """Return the span of a request; None for a probe or scrape, which comes every few seconds.

    parent: of the caller. id_: of the request.
    """
    if request.path in (*PROBES, METRICS):
        return None
    resource = request.match_info.route.resource
    route = resource.canonical if resource else ""
    span = tracer.begin(
        f"{request.method} {route}".strip(), begin=time.monotonic(), parent=parent, kind=SERVER
    )
    span.attributes = {
        "http.request.method": request.method,
        "url.scheme": request.scheme,
        "url.path": redact(request.path)[:MAX_PATH],
        "timbre.request.id": redact(id_),
    }
    if route:
        span.attributes["http.route"] = route
    return span


def end_request(span: Span, status: int | None) -> None:
    """End the span of a request; it is kept if it failed. status: None without a response."""
    span.end = time.monotonic()
    if status is not None:
        span.attributes["http.response.status_code"] = status
        if is_kept(status):
            span.error, span.trace.failed = span.error or str(status), True
    span.trace.finish()
