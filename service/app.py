"""The gateway as an aiohttp application."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator

from aiohttp import web

from common.budget import Budget
from service.api import routes
from service.api.authentication import PERMIT, Authenticator
from service.api.context import BODY_BUDGET, GATEWAY, POOL
from service.api.cors import cors
from service.api.problems import Handler, problems
from service.api.stream import stream
from service.auth.key_cache import KeyCache
from service.auth.key_store import open_key_store
from service.auth.limits import SharedLimits
from service.inference.decode_pool import DecodePool
from service.inference.gateway import Gateway
from service.log import log, reference
from service.settings import Settings

ID = web.RequestKey("id", str)
REQUEST_ID = re.compile(r"[\w.:/+=-]{1,128}", re.ASCII)
"""What is taken as an X-Request-Id; anything else is replaced."""
QUIET = ("/livez", "/readyz")
"""Asked every few seconds by machines; not worth a log line."""


def build(settings: Settings, *, shared_limits: SharedLimits | None = None) -> web.Application:
    """Return the application. It loads the models when it starts, and answers 503 until they are ready.

    shared_limits: of the keys, counted by several gateways together.
    """
    middlewares = (
        [identify, cors(settings.cors_origins), problems]
        if settings.cors_origins
        else [identify, problems]
    )
    app = web.Application(middlewares=middlewares, client_max_size=settings.max_body)
    if settings.keys:
        require_keys(app, settings, shared_limits)
    app[GATEWAY] = Gateway(settings)
    app[POOL] = DecodePool(threads=settings.decode_threads, limit=settings.max_clips)
    app[BODY_BUDGET] = Budget(settings.max_buffered, "bytes of request bodies are in memory")
    app.add_routes(
        [
            web.get("/livez", routes.livez),
            web.get("/readyz", routes.readyz),
            web.get("/v1/models", routes.models),
            web.get("/v1/models/{name}", routes.model),
            web.post("/v1/models/{name}/classify", routes.classify),
            web.post("/v1/models/{name}/load", routes.load),
            web.get("/v1/models/{name}/stream", stream, allow_head=False),
        ]
    )
    app.on_response_prepare.append(name_response)
    app.on_shutdown.append(shut_down)
    app.cleanup_ctx.append(life)
    return app


def require_keys(
    app: web.Application, settings: Settings, shared_limits: SharedLimits | None
) -> None:
    """Let in only who has a key. Raises Unprocessable when the setting names no place of keys."""
    if settings.redis:
        # Imported here so that a server without Redis never pays for it.
        from service.auth import redis_limits

        shared_limits = redis_limits.RedisLimits(settings.redis)
    guard = Authenticator(
        KeyCache(open_key_store(settings.keys, redis=settings.redis)), shared_limits
    )
    app.middlewares.append(guard.check)
    app.cleanup_ctx.append(guard.watch)


@web.middleware
async def identify(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Bind the request's id for log lines, and log how it went."""
    given = request.headers.get("X-Request-Id", "")
    request[ID] = given if REQUEST_ID.fullmatch(given) else request.app[GATEWAY].new_id()
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


async def shut_down(app: web.Application) -> None:
    """Finish what is accepted before connections are closed."""
    await app[GATEWAY].shut_down()


async def life(app: web.Application) -> AsyncIterator[None]:
    """Load the models while the application runs; let go of its threads after."""
    app[GATEWAY].open()
    yield
    app[GATEWAY].opening.cancel()
    app[POOL].close()
