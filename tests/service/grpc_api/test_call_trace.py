"""Traces of gRPC calls at a real OTLP receiver: whole trees, the caller's, what is kept."""

import asyncio

import grpc
import numpy as np
import pytest

from models.store import Store
from service.grpc_api.call_trace import MESSAGE
from service.grpc_api.schema import SERVICE
from tests.service.conftest import until
from tests.service.grpc_api.conftest import infer_request, new
from tests.service.helpers.otlp import often, started_receiver  # noqa: F401
from tests.service.helpers.valve import Valve

ROWS = np.random.default_rng(0).normal(0, 1, (4, 26)).astype(np.float32)
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"metadata": (("traceparent", f"00-{TRACE}-{CALLER}-01"),)}
INFER, STREAM = f"{SERVICE}/ModelInfer", f"{SERVICE}/ModelStreamInfer"


@pytest.fixture(scope="module")
def named(artefacts):
    """The name of the input of the toy model."""
    return Store(artefacts).load("toy").session.names[0]


async def test_a_call_is_a_whole_tree_by_the_conventions_for_rpc(grpc_serve, receiver, named):
    client = await grpc_serve(otel=receiver.url, otel_ratio=1.0)
    metadata = (("x-request-id", "a1"), ("authorization", "Bearer a-secret"))
    await client.call("ModelInfer", infer_request(ROWS, name=named), metadata=metadata)
    await client.call("ModelReady", new("ModelReadyRequest", name="toy"))
    await client.call("ServerReady")  # a probe
    await until(lambda: len(receiver.named("batch toy")) and receiver.named(INFER))
    root = receiver.one(INFER)
    assert (root.kind, root.parent, root.failed) == (2, "", False)
    assert root.attributes == {
        "rpc.system.name": "grpc",
        "rpc.method": INFER,
        "rpc.response.status_code": "OK",
        "timbre.request.id": "a1",
    }
    queue = receiver.children(root)["queue"]
    call = receiver.children(queue)["model toy"]
    assert root.begin <= queue.begin <= call.begin <= call.end <= queue.end <= root.end
    await until(lambda: receiver.named(f"{SERVICE}/ModelReady"))
    assert receiver.named(f"{SERVICE}/ServerReady") == []


@pytest.mark.parametrize("ratio", [0.0, 1.0])
async def test_the_caller_decides_for_its_traces(grpc_serve, receiver, named, capsys, ratio):
    client = await grpc_serve(otel=receiver.url, otel_ratio=ratio)
    request = infer_request(ROWS[:1], name=named)
    parent = f"00-{TRACE}-{CALLER}-{ratio == 0:02d}"
    await client.call("ModelInfer", request, metadata=(("traceparent", parent),))
    # No context of W3C: this call is the first of its trace.
    await client.call("ModelReady", new("ModelReadyRequest", name="toy"), metadata=(
        ("traceparent", parent + "-more"),
    ))  # fmt: skip
    await asyncio.to_thread(client.server.gateway.tracer.close)
    await until(lambda: receiver.spans)
    if ratio:
        assert {span.name for span in receiver.spans} == {f"{SERVICE}/ModelReady"}
    else:
        assert (receiver.one(INFER).trace, receiver.one(INFER).parent) == (TRACE, CALLER)
    assert f"trace_id={TRACE}" in capsys.readouterr().err


async def test_what_fails_is_kept_at_ratio_0_and_wrong_input_is_not(grpc_serve, receiver, named):
    client = await grpc_serve(otel=receiver.url, otel_ratio=0.0)
    held = Valve(client.server)
    for request in (infer_request(ROWS[:, :25], name=named), infer_request(ROWS, model="tuba")):
        with pytest.raises(grpc.aio.AioRpcError):
            await client.call("ModelInfer", request)
    request = infer_request(ROWS[:1], name=named)
    request.parameters["timeout"].int64_param = 50_000
    with pytest.raises(grpc.aio.AioRpcError):
        await client.call("ModelInfer", request)
    held.let(10)
    await until(lambda: receiver.named(INFER))
    root = receiver.one(INFER)
    assert root.failed
    assert root.attributes["rpc.response.status_code"] == "DEADLINE_EXCEEDED"
    assert root.attributes["error.type"] == "DEADLINE_EXCEEDED"


async def test_requests_of_a_stream_have_traces_of_their_own_linked_with_it(
    grpc_serve, receiver, named
):
    client = await grpc_serve(otel=receiver.url, otel_ratio=0.0)
    stream = client.stream(**SAMPLED)
    for each in range(3):
        await stream.write(infer_request(ROWS[each : each + 1], name=named))
    # They are here before the stream has ended.
    await until(lambda: len(receiver.named(MESSAGE)) == 3)
    assert receiver.named(STREAM) == []
    await stream.done_writing()
    assert len([answer async for answer in stream]) == 3
    await until(lambda: receiver.named(STREAM))
    root = receiver.one(STREAM)
    assert (root.trace, root.parent) == (TRACE, CALLER)
    assert root.attributes["rpc.response.status_code"] == "OK"
    messages = receiver.named(MESSAGE)
    assert {link for span in messages for link in span.links} == {(root.trace, root.id)}
    assert len({span.trace for span in (*messages, root)}) == 4
    for span in messages:
        assert "model toy" in receiver.children(receiver.children(span)["queue"])
        assert span.attributes["timbre.request.id"] == root.attributes["timbre.request.id"]


async def test_a_request_of_a_stream_that_fails_is_kept_with_its_stream(
    grpc_serve, receiver, named
):
    client = await grpc_serve(otel=receiver.url, otel_ratio=0.0)
    held = Valve(client.server)
    stream = client.stream()
    wrong, late = infer_request(ROWS, name="other"), infer_request(ROWS[:1], name=named)
    late.parameters["timeout"].int64_param = 50_000
    for each in (wrong, late):
        await stream.write(each)
    await stream.done_writing()
    answers = [answer async for answer in stream]
    assert all(answer.error_message for answer in answers)
    held.let(10)
    await until(lambda: receiver.named(STREAM))
    message = receiver.one(MESSAGE)
    assert (message.failed, message.attributes["error.type"]) == (True, "Late")
    assert message.links == [(receiver.one(STREAM).trace, receiver.one(STREAM).id)]
    assert not receiver.one(STREAM).failed
