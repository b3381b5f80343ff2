"""Spans of calls, by OpenTelemetry's conventions for RPC; none has metadata or a message."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from common.errors import TimbreError
from service.grpc_api.schema import SERVICE
from service.log import redact
from service.tracing.spans import SERVER, Context, Span, Tracer, current, is_kept

MESSAGE = "ModelStreamInfer request"
"""Name of the span of one request of a stream."""


def begin_call(tracer: Tracer, method: str, parent: Context | None, *, id_: str) -> Span:
    """Return the span of a call. parent: of the caller. id_: of the call."""
    name = f"{SERVICE}/{method}"
    span = tracer.begin(name, begin=time.monotonic(), parent=parent, kind=SERVER)
    span.attributes = {
        "rpc.system.name": "grpc",
        "rpc.method": name,
        "timbre.request.id": redact(id_),
    }
    return span


def end_call(span: Span, status: str, error: TimbreError | None) -> None:
    """End the span of a call; it is kept if it failed. status: that the client gets."""
    span.attributes["rpc.response.status_code"] = status
    if error is not None and is_kept(error.status):
        span.error, span.trace.failed = status, True
    span.end = time.monotonic()
    span.trace.finish()


@contextmanager
def message_span() -> Iterator[None]:
    """Trace one request of a stream, if its call is traced; one that fails is kept, and its stream.

    It has a trace of its own, so that none waits for the end of the stream, and is sampled as the
    stream is.
    """
    if (stream := current.get()) is None:
        yield
        return
    sampled = stream.trace.sampled
    span = stream.trace.tracer.begin(MESSAGE, begin=time.monotonic(), sampled=sampled)
    span.links.append(stream.context)
    span.attributes["timbre.request.id"] = stream.attributes["timbre.request.id"]
    before = current.set(span)
    try:
        yield
    except Exception as error:
        status = error.status if isinstance(error, TimbreError) else TimbreError.status
        if is_kept(status):
            span.error = type(error).__name__
            span.trace.failed = stream.trace.failed = True
        raise
    finally:
        current.reset(before)
        span.end = time.monotonic()
        span.trace.finish()
