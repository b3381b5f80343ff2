"""OpenTelemetry's SDK: spans to OTLP, from a thread, out of a bounded queue. The one file on it."""

from __future__ import annotations

import sys
import threading
import time
import uuid
from collections.abc import Mapping

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode

from service.tracing.spans import Context, Span

CLOSE_S = 1.0
"""How long the last spans may take at shutdown: a collector that is away must not delay it."""
SCOPE = InstrumentationScope("timbre")
SAMPLED = TraceFlags(TraceFlags.SAMPLED)
OK, FAILED = Status(StatusCode.UNSET), Status(StatusCode.ERROR)


class Exporter:
    """Hands spans to the SDK, whose queue drops the oldest when the collector is slow or away."""

    def __init__(self, endpoint: str, *, attributes: Mapping[str, str]) -> None:
        """endpoint: URL for traces, `console`, or empty for that of the environment variables.

        attributes: of the resource, where the environment variables have no others.
        """
        exporter = (
            ConsoleSpanExporter(out=sys.stdout)
            if endpoint == "console"
            else OTLPSpanExporter(endpoint=endpoint or None)
        )
        self._processor = BatchSpanProcessor(exporter)
        given = OTELResourceDetector().detect().attributes
        ours = {"service.instance.id": uuid.uuid4().hex, **attributes}
        self._resource = Resource.create({k: v for k, v in ours.items() if k not in given})

    def export(self, spans: list[Span]) -> None:
        """Queue spans; never blocks."""
        offset = time.time() - time.monotonic()
        for span in spans:
            self._processor.on_end(self._readable(span, offset))

    def close(self) -> None:
        """Send what is queued, for CLOSE_S at most."""
        closing = threading.Thread(target=self._processor.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    def _readable(self, span: Span, offset: float) -> ReadableSpan:
        context = span.context
        attributes = (
            {**span.attributes, "error.type": span.error} if span.error else span.attributes
        )
        return ReadableSpan(
            span.name,
            context=_context(context),
            parent=_context(context._replace(span_id=span.parent_id)) if span.parent_id else None,
            resource=self._resource,
            attributes=attributes,
            links=[Link(_context(each)) for each in span.links],
            kind=list(SpanKind)[span.kind],
            status=FAILED if span.error else OK,
            start_time=round(1e9 * (span.begin + offset)),
            end_time=round(1e9 * (span.end + offset)),
            instrumentation_scope=SCOPE,
        )


def _context(context: Context) -> SpanContext:
    return SpanContext(context.trace_id, context.span_id, is_remote=False, trace_flags=SAMPLED)
