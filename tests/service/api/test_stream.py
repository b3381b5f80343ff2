"""The endpoint of live streams: what is rejected before the upgrade."""

import aiohttp
import pytest

from tests.service.conftest import begin


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/models/piano/stream", 404),
        ("/v1/models/toy/stream?version=9", 404),
        ("/v1/models/toy/stream?x=1", 422),
    ],
)
async def test_errors_known_before_the_upgrade_are_problem_documents(serve, path, status):
    server = await serve()
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    found, answer, _ = await server.get(path, headers=headers)
    assert (found, answer["status"]) == (status, status)


async def test_a_plain_get_of_a_stream_is_400(serve):
    server = await serve()
    status, answer, _ = await server.get("/v1/models/toy/stream")
    assert (status, answer["title"]) == (400, "Bad request")


@pytest.mark.parametrize(
    ("origin", "allowed", "status"),
    [
        ("https://evil.example", (), 403),
        ("null", (), 403),
        ("https://evil.example", ("https://good.example",), 403),
        ("https://good.example", ("https://good.example",), 101),
        ("https://any.example", ("*",), 101),
        (None, (), 101),
        ("same", (), 101),
    ],
)
async def test_pages_of_other_hosts_are_rejected(serve, origin, allowed, status):
    server = await serve(allowed_origins=allowed)
    headers = {"Origin": server.url if origin == "same" else origin} if origin else {}
    try:
        async with server.stream(headers=headers) as socket:
            assert (await begin(socket))["type"] == "ready"
        found = 101
    except aiohttp.WSServerHandshakeError as error:
        found = error.status
    assert found == status


async def test_an_older_version_can_be_requested(serve):
    server = await serve()
    async with server.http.ws_connect(f"{server.url}/v1/models/toy/stream?version=1") as socket:
        assert (await begin(socket))["version"] == "1"
