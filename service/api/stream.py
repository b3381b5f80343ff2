"""The WebSocket endpoint: rejects what it can before the upgrade."""

from __future__ import annotations

from aiohttp import web

from common.errors import InputError
from service.api.authentication import SUBPROTOCOL, count_stream
from service.api.context import BODY_BUDGET, GATEWAY
from service.api.host_check import check_origin
from service.api.request import read_query
from service.streaming.connection import Connection, LiveWebSocket
from service.streaming.handler import LiveStream

HANDSHAKE = ("connection", "upgrade", "sec-websocket-")
"""Headers that aiohttp reads as ASCII."""


async def stream(request: web.Request) -> web.StreamResponse:
    """Serve one stream. What is rejected before the upgrade is answered with a problem document."""
    gateway = request.app[GATEWAY]
    settings = gateway.settings
    await gateway.turns.wait()
    with gateway.working(), request.app[BODY_BUDGET].hold(0) as memory:
        gateway.check_load()
        check_origin(request, settings.allowed_origins, setting="allowed_origins")
        version = read_query(request, version=str).get("version")
        follower = await gateway.registry.follow(request.match_info["name"], version)
        follower.model.sound  # noqa: B018 - rejects a picture model before the upgrade
        for name, value in request.headers.items():
            if name.lower().startswith(HANDSHAKE) and not value.isascii():
                raise InputError(f"the header {name!r:.40} has bytes that are not ASCII")
        websocket = LiveWebSocket(settings, memory, protocols=(SUBPROTOCOL,))
        await websocket.prepare(request)
        live = LiveStream(gateway, follower, Connection(websocket, settings))
        await live.run(client=request.remote or "", key_limit=count_stream(request, live))
    return websocket
