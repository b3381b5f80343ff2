"""A real OTLP receiver: an HTTP server that decodes what exporters send."""

from dataclasses import dataclass

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass
class ReceivedSpan:
    """A span as a collector sees it; ids in hex."""

    name: str
    kind: int
    trace: str
    id: str
    parent: str
    begin: int
    end: int
    attributes: dict
    links: list
    failed: bool
    resource: dict


class Receiver:
    """What has arrived so far."""

    def __init__(self):
        self.spans = []
        self.headers = []
        self.url = ""

    def named(self, name):
        return [span for span in self.spans if span.name == name]

    def one(self, name):
        (span,) = self.named(name)
        return span

    def children(self, span):
        return {each.name: each for each in self.spans if each.parent == span.id}

    def by_id(self):
        return {span.id: span for span in self.spans}

    async def receive(self, request):
        message = ExportTraceServiceRequest.FromString(await request.read())
        self.headers.append(request.headers)
        for group in message.resource_spans:
            resource = _values(group.resource.attributes)
            for scope in group.scope_spans:
                self.spans += [_span(span, resource) for span in scope.spans]
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )


def _span(span, resource):
    return ReceivedSpan(
        name=span.name,
        kind=span.kind,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        begin=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        attributes=_values(span.attributes),
        links=[(link.trace_id.hex(), link.span_id.hex()) for link in span.links],
        failed=span.status.code == 2,
        resource=resource,
    )


def _values(pairs):
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Exporters send twenty times a second; for whoever imports it."""
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")


@pytest.fixture(name="receiver")
async def started_receiver():
    """Receive on a free port."""
    receiver = Receiver()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/traces", receiver.receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        await runner.cleanup()
