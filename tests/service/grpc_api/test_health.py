"""gRPC's health checks tell whether the server takes requests."""

import asyncio
import time
from types import SimpleNamespace

import grpc
import pytest

from service.grpc_api.health import HEALTH
from service.grpc_api.schema import HEALTH_CLASSES, SERVICE
from service.queue import local
from tests.service.conftest import noise, until, wav
from tests.service.helpers.valve import Valve

SERVING, NOT_SERVING, UNKNOWN = 1, 2, 3


def asked(service=""):
    return HEALTH_CLASSES["HealthCheckRequest"](service=service).SerializeToString()


def status(data):
    return HEALTH_CLASSES["HealthCheckResponse"].FromString(data).status


@pytest.mark.parametrize("service", ["", SERVICE, HEALTH])
async def test_a_ready_server_serves_by_every_name(client, service):
    assert status(await client.raw("Check", HEALTH)(asked(service))) == SERVING


async def test_an_unknown_service_is_not_found_and_a_wrong_message_rejected(client):
    for data, code in ((asked("tuba"), "NOT_FOUND"), (b"\x0a\xff", "INVALID_ARGUMENT")):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.raw("Check", HEALTH)(data)
        assert caught.value.code().name == code


async def test_who_watches_is_told_that_the_server_leaves(client, monkeypatch):
    monkeypatch.setattr("service.grpc_api.health.WATCH_S", 0.01)
    watch = client.channel.unary_stream(f"/{HEALTH}/Watch")
    known, unknown = watch(asked(), timeout=60), watch(asked("tuba"), timeout=60)
    assert status(await known.read()) == SERVING
    assert status(await unknown.read()) == UNKNOWN
    await client.server.gateway.shut_down()
    assert status(await known.read()) == NOT_SERVING
    assert await known.read() is grpc.aio.EOF


async def probed(client):
    """What each probe says, of HTTP and of gRPC: whether it lives, and whether it is ready."""
    paths = ("/livez", "/v2/health/live", "/readyz", "/v2/health/ready")
    codes = [(await client.server.get(path))[0] for path in paths]
    health = status(await client.raw("Check", HEALTH)(asked()))
    live, ready = await client.call("ServerLive"), await client.call("ServerReady")
    return codes, [live.live, ready.ready, health == SERVING]


async def test_a_server_whose_model_hangs_neither_lives_nor_is_ready(client, monkeypatch):
    server, valve = client.server, Valve(client.server)
    asking = asyncio.create_task(server.post("/v1/models/toy/classify", data=wav(noise(2))))
    await until(valve.begun.is_set)
    assert await probed(client) == ([200] * 4, [True] * 3)
    hour = SimpleNamespace(monotonic=lambda: time.monotonic() + 3_600)
    monkeypatch.setattr(local, "time", hour)  # an hour later, and the model still runs
    assert await probed(client) == ([503] * 4, [False] * 3)
    assert "a model has run 3" in (await server.get("/livez"))[1]["detail"]
    monkeypatch.undo()
    valve.let(1)
    assert (await asking)[0] == 200
    assert await probed(client) == ([200] * 4, [True] * 3)
