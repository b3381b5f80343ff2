"""`GET /v1/events`: what streams publish, as server-sent events, over real sockets."""

import asyncio
import json

import numpy as np
import pytest

from tests.service.conftest import begin, noise, pcm, rest_of, tone, until

SOUND = np.concatenate((tone(4), noise(4)))


async def published(server, **fields):
    async with server.stream() as socket:
        await begin(socket, publish=True, **fields)
        await socket.send_bytes(pcm(SOUND))
        await socket.send_json({"type": "end"})
        return await rest_of(socket)


async def next_event(response):
    """The fields of the next server-sent event, comments left out."""
    while True:
        async with asyncio.timeout(60):
            block = (await response.content.readuntil(b"\n\n")).decode()
        lines = [line for line in block.split("\n") if line[:1] not in ("", ":")]
        fields = dict(line.split(": ", 1) for line in lines)
        if "data" in fields:
            return fields | {"data": json.loads(fields["data"])}


async def test_events_of_streams_that_publish_are_sent(serve):
    server = await serve()
    async with server.http.get(f"{server.url}/v1/events") as response:
        assert response.content_type == "text/event-stream"
        messages = await published(server, source="garden", events=True)
        events = [each for each in messages if isinstance(each, dict) and each["type"] == "event"]
        for expected in events:
            got = await next_event(response)
            assert got["event"] == "event"
            assert got["data"] == {"model": "toy"} | {
                key: value for key, value in expected.items() if key != "type"
            }
        last = got["id"]
    # From the same id nothing comes twice; what came meanwhile does.
    await published(server, source="attic")
    headers = {"Last-Event-ID": last}
    async with server.http.get(f"{server.url}/v1/events", headers=headers) as response:
        assert (await next_event(response))["data"]["source"] == "attic"


async def test_a_stream_that_only_publishes_gets_no_event_messages(serve):
    server = await serve()
    kinds = {each["type"] for each in await published(server) if isinstance(each, dict)}
    assert kinds == {"window", "end"}


async def test_streams_that_do_not_publish_are_not_told(serve):
    server = await serve()
    url = f"{server.url}/v1/events?label=tone"
    async with server.http.get(url) as response:
        async with server.stream() as socket:
            await begin(socket, events=True, source="secret")
            await socket.send_bytes(pcm(SOUND))
            await socket.send_json({"type": "end"})
            await rest_of(socket)
        await published(server, source="garden")
        assert (await next_event(response))["data"]["source"] == "garden"


@pytest.mark.parametrize(
    ("path", "headers", "status", "detail"),
    [
        ("/v1/events?sort=1", {}, 422, "unknown query parameter 'sort'"),
        ("/v1/events?source=a&source=b", {}, 422, "given twice"),
        ("/v1/events", {"Last-Event-ID": "x" * 65}, 422, "Last-Event-ID"),
    ],
)
async def test_what_cannot_be_asked_is_named(serve, path, headers, status, detail):
    server = await serve()
    got, answer, _ = await server.get(path, headers=headers)
    assert (got, detail in answer["detail"]) == (status, True)


async def test_a_shutdown_ends_the_response(serve):
    server = await serve()
    async with server.http.get(f"{server.url}/v1/events") as response:
        await server.gateway.shut_down()
        async with asyncio.timeout(60):
            assert b"retry" in await response.content.read()
    status, _, _ = await server.get("/v1/events")
    assert status == 503


async def test_a_client_that_leaves_is_forgotten(serve):
    server = await serve()
    async with server.http.get(f"{server.url}/v1/events"):
        await until(lambda: len(server.gateway.feed._followers) == 1)
    await published(server)  # what cannot be sent is noticed
    await until(lambda: not server.gateway.feed._followers)
