"""Unexpected responses of other servers become errors with a remedy."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from common.errors import (
    Busy,
    InputError,
    Leaving,
    NotAllowed,
    NotFound,
    TimbreError,
    TooMany,
    Unauthorised,
)
from service.client.transport import Unreachable, connect, handshake, problem, rejection, request
from service.protocol import Start, failure


@asynccontextmanager
async def answering(handler):
    """A server with one handler, and a session for it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with aiohttp.ClientSession() as session:
            yield session, f"http://127.0.0.1:{runner.addresses[0][1]}/v1/models"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "title", "error"),
    [
        (404, "Not found", NotFound),
        (503, "Shutting down", Leaving),
        (503, "Busy", Busy),
        (503, None, Busy),
        (401, None, Unauthorised),
        (429, "Too many requests", TooMany),
        (429, None, TooMany),
        (502, None, Unreachable),
        (418, None, TimbreError),
        (500, "Internal error", TimbreError),
    ],
)
def test_every_status_has_its_error(status, title, error):
    found = problem(status, {"title": title, "detail": "why"} if title else "<html>")
    assert type(found) is error
    assert str(found) == ("why" if title else f"the server answered HTTP {status}")


@pytest.mark.parametrize("error", [Busy("full"), InputError("odd"), TimbreError("fault")])
def test_an_error_message_becomes_the_error_it_was(error):
    found = rejection(failure(error))
    assert type(found) is type(error)
    assert str(found) == str(error)


async def test_a_server_that_is_not_timbre_is_recognised():
    async def page(_):
        return web.Response(text="<html>Welcome to nginx</html>")

    async with answering(page) as (session, url):
        with pytest.raises(Unreachable, match="is not a Timbre server"):
            await request(session, "GET", url)
        with pytest.raises(Unreachable):
            await connect(session, url)


async def test_a_rejected_handshake_raises_with_the_reason():
    async def refuse(_):
        return web.json_response({"title": "Not allowed", "detail": "no key"}, status=403)

    async with answering(refuse) as (session, url):
        with pytest.raises(NotAllowed, match="no key"):
            await connect(session, url)


async def test_a_server_that_disconnects_after_start_is_unreachable():
    async def hang_up(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        request.transport.abort()
        return socket

    async with answering(hang_up) as (session, url):
        socket = await connect(session, url)
        with pytest.raises(Unreachable):
            async with asyncio.timeout(60):
                await handshake(socket, Start(sample_rate=22_050))
        await socket.close()
