"""Spans of a stream's windows: a trace for each, so that none waits for the end of the stream."""

from __future__ import annotations

import time

from common.errors import TimbreError
from service import protocol
from service.streaming.accounting import SampleAccount
from service.streaming.windower import Event, LiveWindow
from service.tracing.spans import Attribute, Span, is_kept, model_attributes


def begin_trace(stream: Span, event: Event, *, stream_id: str) -> None:
    """Begin the trace of a window; it is sampled as its stream is. stream: the request's span."""
    if isinstance(event, LiveWindow):
        event.trace = _begin(stream, event.due, event.start_sample, event.end_sample)
        event.trace.attributes["timbre.stream.id"] = stream_id
        if event.model:
            event.trace.attributes |= model_attributes(event.model.name, event.model.version)


def end_trace(stream: Span, event: Event, message: protocol.ServerMessage) -> None:
    """End the trace of a window that is answered or dropped; a drop is kept, and so is its stream.

    A gap gets a trace as well.
    """
    now = time.monotonic()
    window = event if isinstance(event, LiveWindow) else None
    span = window.trace if window else None
    if isinstance(message, protocol.Dropped):
        span = span or _begin(stream, now, message.from_sample, message.to_sample)
        span.error = message.reason
        span.trace.failed = stream.trace.failed = True
    if span is None:
        return
    span.end = now
    if window and (span.trace.sampled or span.trace.failed):
        span.stages(begin=span.begin, waiting=window.waiting_ms, features=window.features_ms)
    span.trace.finish()


def fail_window(span: Span, error: str) -> None:
    """End the trace of a window whose model failed."""
    span.error, span.trace.failed = error, True
    span.trace.finish()


def end_stream(span: Span | None, reason: str, account: SampleAccount) -> None:
    """Say in the request's span, if there is one, how its stream ended."""
    if span is not None:
        span.attributes |= {
            "timbre.stream.end": reason,
            "timbre.stream.windows": account.windows,
            "timbre.stream.dropped_samples": account.dropped,
        }


def fail_stream(span: Span | None, error: TimbreError) -> None:
    """Say in the request's span why its stream was rejected; faults and overload are kept."""
    if span is not None:
        span.error = type(error).__name__
        span.trace.failed = span.trace.failed or is_kept(error.status)


def _begin(stream: Span, begin: float, start_sample: int, end_sample: int) -> Span:
    span = stream.trace.tracer.begin("window", begin=begin, sampled=stream.trace.sampled)
    span.links.append(stream.context)
    attributes: dict[str, Attribute] = {
        "timbre.window.start_sample": start_sample,
        "timbre.window.end_sample": end_sample,
    }
    span.attributes = attributes
    return span
