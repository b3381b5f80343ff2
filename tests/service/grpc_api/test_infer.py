"""ModelInfer and ModelStreamInfer: deadlines, cancelled calls, order, shutdown."""

import asyncio
import gc

import grpc
import numpy as np
import pytest

from models.store import Store
from tests.service.conftest import until
from tests.service.grpc_api.conftest import infer_request, new, scores_of
from tests.service.helpers.valve import Valve

ROWS = np.random.default_rng(0).normal(0, 1, (6, 26)).astype(np.float32)


@pytest.fixture(scope="module")
def named(artefacts):
    """The name of the input of the toy model."""
    return Store(artefacts).load("toy").session.names[0]


@pytest.fixture
def held(client):
    """The model answers nothing until it is let."""
    return Valve(client.server)


async def test_a_cancelled_call_takes_its_jobs_along(client, held, named):
    queue = client.server.gateway.queue
    first = asyncio.create_task(client.call("ModelInfer", infer_request(ROWS[:1], name=named)))
    await until(held.begun.is_set)
    # The model is at work on the first call; the second waits in the queue.
    second = client.raw("ModelInfer")(infer_request(ROWS[1:3], name=named).SerializeToString())
    await until(lambda: queue.depth >= 2)
    second.cancel()
    await until(lambda: client.server.gateway.requests == 1)
    held.let(10)
    assert len(scores_of(await first)) == 1
    assert held.rows == 1


@pytest.mark.parametrize("by", ["parameter", "deadline"])
async def test_a_deadline_of_the_client_ends_the_request(client, held, named, by):
    request, options = infer_request(ROWS[:1], name=named), {"timeout": 60}
    if by == "parameter":
        request.parameters["timeout"].int64_param = 50_000
    else:
        options["timeout"] = 0.05
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.raw("ModelInfer")(request.SerializeToString(), **options)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    held.let(10)
    await until(lambda: client.server.gateway.requests == 0)


async def test_a_stream_answers_in_order_and_goes_on_after_an_error(client, named):
    stream = client.stream()
    requests = [infer_request(ROWS[at : at + 1], name=named, id=str(at)) for at in range(6)]
    requests[3] = infer_request(ROWS[:1], name="other", id="3")
    for each in requests:
        await stream.write(each)
    await stream.done_writing()
    answers = [answer async for answer in stream]
    assert [each.infer_response.id for each in answers] == list("012345")
    assert ["other" in each.error_message for each in answers] == [at == 3 for at in range(6)]
    single = await client.call("ModelInfer", infer_request(ROWS[5:], name=named))
    np.testing.assert_array_equal(scores_of(answers[5].infer_response), scores_of(single))
    assert await stream.code() is grpc.StatusCode.OK
    await until(lambda: client.server.gateway.streams == 0)


async def test_the_last_response_is_told_to_who_wants_to_know(client, named):
    request = infer_request(ROWS[:1], name=named)
    request.parameters["triton_enable_empty_final_response"].bool_param = True
    response = await client.call("ModelInfer", request)
    assert response.parameters["triton_final_response"].bool_param


async def test_a_stream_has_a_bound_of_requests_in_flight(client, held, named, monkeypatch):
    monkeypatch.setattr("service.grpc_api.infer.IN_FLIGHT", 2)
    stream = client.stream()
    for each in range(6):
        await stream.write(infer_request(ROWS[each : each + 1], name=named))
    await stream.done_writing()
    await until(held.begun.is_set)
    await until(lambda: client.server.gateway.requests == 2)
    await asyncio.wait_for(client.call("ModelReady", new("ModelReadyRequest", name="toy")), 60)
    assert client.server.gateway.requests == 2
    held.let(10)
    assert len([answer async for answer in stream]) == 6


async def test_a_stream_that_is_cancelled_takes_its_jobs_along(client, held, named):
    stream = client.stream()
    for each in range(3):
        await stream.write(infer_request(ROWS[each : each + 1], name=named))
    await until(lambda: client.server.gateway.requests == 3)
    stream.cancel()
    await until(lambda: client.server.gateway.requests == client.server.gateway.streams == 0)
    held.let(10)


async def test_a_stream_at_its_bound_takes_all_its_jobs_along(client, held, named, monkeypatch):
    monkeypatch.setattr("service.grpc_api.infer.IN_FLIGHT", 2)
    stream = client.stream()
    await stream.write(infer_request(ROWS[:1], name=named))
    await until(held.begun.is_set)
    for each in range(1, 6):
        await stream.write(infer_request(ROWS[each : each + 1], name=named))
    await until(lambda: client.server.gateway.requests == 2)
    stream.cancel()
    await until(lambda: client.server.gateway.requests == client.server.gateway.streams == 0)
    held.let(10)
    await client.call("ModelInfer", infer_request(ROWS[:1], name=named))
    # The model was at work on the first of the stream.
    assert held.rows == 2


async def test_a_client_that_reads_nothing_and_leaves_frees_its_stream(client, named):
    faults = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: faults.append(fault))
    stream = client.stream()
    for _ in range(8):
        # The response has the id too, and more of them than the connection takes unread.
        await stream.write(infer_request(ROWS[:1], name=named, id="x" * 200_000))
    await stream.read()
    await until(lambda: client.server.gateway.requests == 0)
    stream.cancel()
    await until(lambda: client.server.gateway.streams == 0)
    gc.collect()
    assert faults == []


async def test_at_shutdown_a_stream_answers_what_it_has_and_ends(client, held, named):
    stream = client.stream()
    await stream.write(infer_request(ROWS[:1], name=named))
    await until(held.begun.is_set)
    leaving = asyncio.gather(client.server.gateway.shut_down(), client.grpc_server.stop())
    await asyncio.sleep(0)
    held.let(10)
    answer = await stream.read()
    assert len(scores_of(answer.infer_response)) == 1
    assert await stream.code() is grpc.StatusCode.UNAVAILABLE
    await leaving


async def test_streams_have_the_limits_of_other_streams(grpc_serve, named):
    client = await grpc_serve(max_streams=1)
    first = client.stream()
    await first.write(infer_request(ROWS[:1], name=named))
    await first.read()
    second = client.stream()
    assert await second.code() is grpc.StatusCode.UNAVAILABLE
    assert "streams are open" in await second.details()
    first.cancel()


async def test_typed_numbers_of_a_large_message_are_read(client, named):
    rows = np.tile(ROWS, (120, 1))
    response = await client.call("ModelInfer", infer_request(rows, name=named, raw=False))
    assert scores_of(response).shape == (720, 2)
