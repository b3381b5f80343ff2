"""gRPC's health checks tell whether the server takes requests."""

import grpc
import pytest

from service.grpc_api.health import HEALTH
from service.grpc_api.schema import HEALTH_CLASSES, SERVICE

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
