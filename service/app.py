"""The gateway as an aiohttp application."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator

from aiohttp import web

from service import rest
from service.bodies import Buffers
from service.clips import Pool
from service.cors import cors
from service.gateway import Gateway
from service.guard import PERMIT, Allowance, Guard
from service.keys import Ring, open_store
from service.log import log, reference
from service.problems import Handler, problems
from service.settings import Settings
from service.stream import stream

ID = web.RequestKey("id", str)
REQUEST_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
"""What is taken as an X-Request-Id; anything else is replaced."""
QUIET = ("/livez", "/readyz")
"""Asked every few seconds by machines; not worth a log line."""


def build(settings: Settings, *, tally: Allowance | None = None) -> web.Application:
    """Return the application. It loads the models when it starts, and answers 503 until they are ready.

    tally: what gateways of this machine count together.
    """
    middlewares = [identify, cors(settings.cors_origins), problems] if settings.cors_origins else [identify, problems]
    app = web.Application(middlewares=middlewares, client_max_size=settings.max_body)
    if settings.keys:
        require_keys(app, settings, tally)
    app[rest.GATEWAY] = Gateway(settings)
    app[rest.POOL] = Pool(threads=settings.decode_threads, limit=settings.max_clips)
    app[rest.BUFFERS] = Buffers(limit=settings.max_buffered)
    app.add_routes(
        [
            web.get("/livez", rest.livez),
            web.get("/readyz", rest.readyz),
            web.get("/v1/models", rest.models),
            web.get("/v1/models/{name}", rest.model),
            web.post("/v1/models/{name}/classify", rest.classify),
            web.post("/v1/models/{name}/load", rest.load),
            web.get("/v1/models/{name}/stream", stream, allow_head=False),
        ]
    )
    app.on_response_prepare.append(name_response)
    app.on_shutdown.append(leave)
    app.cleanup_ctx.append(life)
    return app


def require_keys(app: web.Application, settings: Settings, tally: Allowance | None) -> None:
    """Let in only who has a key. Raises Unprocessable when the setting names no place of keys."""
    if settings.redis:
        # Imported here so that a server without Redis never pays for it.
        from service import allowance

        tally = allowance.Allowance(settings.redis)
    guard = Guard(Ring(open_store(settings.keys, redis=settings.redis)), tally)
    app.middlewares.append(guard.check)
    app.cleanup_ctx.append(guard.watch)


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Bind the request's id for log lines, and log how it went."""
    given = request.headers.get("X-Request-Id", "")
    request[ID] = given if REQUEST_ID.fullmatch(given) else request.app[rest.GATEWAY].new_id()
    token = reference.set(request[ID])
    begin = time.perf_counter()
    try:
        response = await handler(request)
        if request.path not in QUIET:
            ms = 1e3 * (time.perf_counter() - begin)
            who = {"key": request[PERMIT].key.id} if PERMIT in request else {}
            log(request.method, path=request.path, status=response.status, ms=ms, **who)
        return response
    finally:
        reference.reset(token)


async def name_response(request: web.Request, response: web.StreamResponse) -> None:
    """Give the request's id back, and no version numbers."""
    response.headers["Server"] = "timbre"
    # Not there on what aiohttp refuses before any middleware runs.
    if ID in request:
        response.headers["X-Request-Id"] = request[ID]


async def leave(app: web.Application) -> None:
    """Finish what is accepted before connections are closed."""
    await app[rest.GATEWAY].leave()


async def life(app: web.Application) -> AsyncIterator[None]:
    """Load the models while the application runs; let go of its threads after."""
    app[rest.GATEWAY].open()
    yield
    app[rest.GATEWAY].opening.cancel()
    app[rest.POOL].close()
