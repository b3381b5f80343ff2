"""The protocol without a transport: scores of the same queue, limits and deadlines."""

import asyncio

import numpy as np
import pytest

from common.errors import ArtefactError, Busy, Late, NotFound
from service.api.context import POOL
from service.open_inference.inference import OpenInference
from service.open_inference.parameters import InferParameters
from tests.service.conftest import until
from tests.service.helpers.valve import Valve

ROWS = np.linspace(-2, 2, 5 * 26, dtype=np.float32).reshape(5, 26)
DEFAULT, URGENT = InferParameters(), InferParameters(urgent=True)


def service_of(server):
    return OpenInference(server.gateway, server.app[POOL])


async def infer(service, tensor=ROWS, *, version="", parameters=DEFAULT):
    model = await service.model("toy", version)
    with service.working(), service.request(model) as count:
        return await service.infer(model, tensor, parameters, count)


async def test_scores_are_those_of_the_model_to_the_last_bit_in_batches_of_any_size(serve):
    for max_batch in (2, 32):
        server = await serve(max_batch=max_batch)
        service = service_of(server)
        for version in ("", "1"):
            model = await service.model("toy", version)
            expected = np.concatenate([model.predict(row[None]) for row in ROWS])
            assert np.array_equal(await infer(service, version=version), expected)
            urgent = InferParameters(urgent=True)
            assert np.array_equal(
                await infer(service, version=version, parameters=urgent), expected
            )
        (found,) = await service.statistics("toy")
        assert found["inference_count"] == 10
        assert server.gateway.idle


async def test_rows_of_several_requests_share_a_call_of_the_model(serve):
    server = await serve()
    service, valve = service_of(server), Valve(server)
    first = asyncio.create_task(infer(service))
    await until(valve.begun.is_set)
    others = [asyncio.create_task(infer(service)) for _ in range(3)]
    await until(lambda: server.gateway.queue.depth >= 15)
    valve.let(100)
    await asyncio.gather(first, *others)
    assert server.gateway.idle


async def test_a_timeout_ends_the_request_and_withdraws_its_jobs(serve):
    server = await serve()
    service, valve = service_of(server), Valve(server)
    running = asyncio.create_task(infer(service, ROWS[:1]))
    await until(valve.begun.is_set)
    with pytest.raises(Late):
        await infer(service, parameters=InferParameters(timeout_s=0.01))
    assert server.gateway.queue.depth == 0
    valve.let(100)
    await running
    (found,) = await service.statistics("toy")
    stats = found["inference_stats"]
    assert (stats["success"]["count"], stats["fail"]["count"]) == (1, 1)


async def test_a_full_queue_and_too_many_requests_are_busy(serve):
    server = await serve(max_jobs=4)
    service, valve = service_of(server), Valve(server)
    running = asyncio.create_task(infer(service, ROWS[:1]))
    await until(valve.begun.is_set)
    with pytest.raises(Busy, match="queue is full"):
        await infer(service)
    fitting = asyncio.create_task(infer(service, ROWS[:4]))
    await until(lambda: server.gateway.queue.depth == 4)
    valve.let(100)
    assert [len(await each) for each in (running, fitting)] == [1, 4]
    service = service_of(await serve(max_clips=1))
    with service.working(), pytest.raises(Busy):
        await infer(service)


async def test_only_models_and_versions_that_are_there_are_ready(serve):
    service = service_of(await serve())
    asked = [("toy", ""), ("toy", "1"), ("toy", "9"), ("nothing", ""), ("toy", "x")]
    assert [await service.is_ready(*each) for each in asked] == [True, True, False, False, False]
    for name, version in asked[2:]:
        for call in (service.model_metadata, service.model_config, service.statistics):
            with pytest.raises((NotFound, ArtefactError)):
                await call(name, version)
    assert [each["name"] for each in await service.index()] == ["toy", "toy", "toy-net"]
    assert (await service.model_metadata("toy"))["versions"] == ["1", "2"]
    assert (await service.model_metadata("toy", "1"))["versions"] == ["1"]
    assert service.server_metadata()["name"] == "timbre"
