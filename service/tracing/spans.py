"""Spans of requests, windows and batches; a trace is kept or forgotten when it ends.

Nothing here knows OpenTelemetry. What goes well is kept by the ratio, what fails always: that is
decided at the end, in the process that knows it.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from common.errors import TimbreError

Attribute: TypeAlias = str | int | float | bool
INTERNAL, SERVER, CLIENT, PRODUCER, CONSUMER = range(5)
"""Kinds of spans, in OpenTelemetry's order."""
MAX_SPANS = 256
"""Of one trace in one process, past which no job is added: a clip of 1,200 windows must not fill
the exporter's queue."""
FAILED, TOO_MANY = 500, 429
"""Statuses of HTTP: of a fault, and those above it; of a key that asks too often."""
LONGEST_TRACEPARENT = 128
"""Characters; of version 00 it has 55."""
_TRACEPARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII
)


class Context(NamedTuple):
    """What of a span travels to other processes."""

    trace_id: int
    span_id: int
    sampled: bool
    """Whether the trace is kept even if nothing fails."""

    @property
    def traceparent(self) -> str:
        """As W3C Trace Context writes it."""
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.sampled:02x}"


def read_traceparent(text: str) -> Context | None:
    """Return the context in a W3C `traceparent`, of any version; None in any other text."""
    found = _TRACEPARENT.fullmatch(text) if len(text) <= LONGEST_TRACEPARENT else None
    if found is None or (found[1] == "00" and found[5]):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    return Context(trace_id, span_id, bool(int(found[4], 16) & 1)) if trace_id and span_id else None


def is_kept(status: int) -> bool:
    """Return whether a request is kept whatever the ratio. status: of HTTP, or of its error.

    The server failed, was too busy or too late, or rejected more than a key may ask for.
    """
    return status >= FAILED or status == TOO_MANY


def trace_details(context: Context | None) -> dict[str, str]:
    """Return the details of a log line in this context."""
    return {"trace_id": f"{context.trace_id:032x}"} if context else {}


@dataclass(slots=True, eq=False)
class Trace:
    """The spans of one trace that this process has made."""

    tracer: Tracer
    trace_id: int
    sampled: bool
    """Kept by the ratio, or because the caller keeps it."""
    failed: bool = False
    """Kept because something was dropped, late or failed."""
    spans: list[Span] = field(default_factory=list)

    def finish(self) -> None:
        """Export the spans if the trace is kept; those still open end now."""
        if self.sampled or self.failed:
            now = time.monotonic()
            for span in self.spans:
                span.end = span.end or now
            self.tracer.export(self.spans)
        self.spans = []


@dataclass(slots=True, eq=False)
class Span:
    """Work with a begin and an end, by time.monotonic()."""

    trace: Trace
    name: str
    begin: float
    end: float = 0.0
    """0: open."""
    kind: int = INTERNAL
    parent_id: int = 0
    """0: none."""
    span_id: int = field(default_factory=lambda: _new_id(64))
    attributes: dict[str, Attribute] = field(default_factory=dict)
    links: list[Context] = field(default_factory=list)
    error: str = ""
    """Its kind, such as the class of an exception."""

    @property
    def context(self) -> Context:
        """What others need to refer to it."""
        return Context(self.trace.trace_id, self.span_id, self.trace.sampled)

    def child(
        self,
        name: str,
        *,
        begin: float,
        end: float = 0.0,
        kind: int = INTERNAL,
        attributes: dict[str, Attribute] | None = None,
    ) -> Span:
        """Return a span inside this one."""
        span = Span(self.trace, name, begin, end, kind, self.span_id, attributes=attributes or {})
        self.trace.spans.append(span)
        return span

    def stages(self, *, begin: float, **stages_ms: float) -> None:
        """Add children that follow one another, each so many ms long."""
        for name, ms in stages_ms.items():
            self.child(name, begin=begin, end=begin + ms / 1e3)
            begin += ms / 1e3


class Tracer:
    """Begins traces, and decides by their ids which are kept."""

    def __init__(
        self,
        export: Callable[[list[Span]], None],
        *,
        ratio: float,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        """ratio: of the traces without a parent that are kept though nothing fails.

        export: takes the spans of a trace that is kept, and never blocks. close: exports what is
        left, for a second at most.
        """
        self.export, self.close = export, close
        self._below = round(ratio * 2**64)

    def begin(
        self,
        name: str,
        *,
        begin: float,
        parent: Context | None = None,
        sampled: bool | None = None,
        kind: int = INTERNAL,
    ) -> Span:
        """Return the first span of a trace, or of this process in the trace of its parent.

        sampled: by default the parent's, or by the ratio.
        """
        trace_id = parent.trace_id if parent else _new_id(128)
        if sampled is None:
            # As OpenTelemetry's TraceIdRatioBased, so that all who use it decide the same.
            sampled = parent.sampled if parent else trace_id % 2**64 < self._below
        trace = Trace(self, trace_id, sampled)
        span = Span(trace, name, begin, kind=kind, parent_id=parent.span_id if parent else 0)
        trace.spans.append(span)
        return span

    def remote(self, context: Context) -> Span:
        """Return a span of another process, to be given children."""
        trace = Trace(self, context.trace_id, context.sampled)
        return Span(trace, "", 0.0, span_id=context.span_id)


current: ContextVar[Span | None] = ContextVar("current", default=None)
"""Span of the request that the current task works for."""


def begin_job(parent: Span | None, model: str, version: str) -> Span | None:
    """Return the span of a job from its submission to its result; None if it is not traced.

    parent: by default the span of the request.
    """
    parent = parent or current.get()
    if parent is None or len(parent.trace.spans) >= MAX_SPANS:
        return None
    attributes = model_attributes(model, version)
    return parent.child("queue", begin=time.monotonic(), attributes=attributes)


@contextmanager
def in_queue(span: Span) -> Iterator[None]:
    """End the span of a job with the block, which submits it; an error of ours is its error."""
    try:
        yield
    except TimbreError as error:
        span.error = type(error).__name__
        raise
    finally:
        span.end = time.monotonic()


def record_decoding(waited_ms: float, **stages_ms: float) -> None:
    """Add to the request's span, if it has one, the stages that end now.

    waited_ms: before the first of them.
    """
    if span := current.get():
        begin = time.monotonic() - (waited_ms + sum(stages_ms.values())) / 1e3
        span.stages(begin=begin, waiting=waited_ms, **stages_ms)


def record_batch(
    batch: Span, jobs: Iterable[tuple[Span, str]], model: str, *, begin: float, end: float
) -> None:
    """Give each job a child for its model call, linked with the batch; then end the batch.

    batch: the first span of a trace of its own. jobs: each with what its call raised, or nothing.
    """
    for span, error in jobs:
        call = span.child(f"model {model}", begin=begin, end=end)
        call.error = error
        if span.trace.sampled or error:
            call.links.append(batch.context)
            batch.links.append(span.context)
            batch.error = batch.error or error
    batch.trace.sampled = bool(batch.links)
    batch.end = end
    batch.trace.finish()


def model_attributes(name: str, version: str) -> dict[str, Attribute]:
    """Return the attributes that name a model."""
    return {"timbre.model.name": name, "timbre.model.version": version}


def _new_id(bits: int) -> int:
    # Zero is no id.
    return random.getrandbits(bits) or 1
