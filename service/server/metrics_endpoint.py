"""Serves GET /metrics on a port of its own, and GET /livez of a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from aiohttp import web

from common.errors import Busy
from service.api.authentication import METRICS, Authenticator
from service.api.host_check import KNOWN_HOSTS, host_check, hosts_of
from service.api.metrics import SCRAPER, Scraper, scrape
from service.api.middleware import check_expectations, name_response, problems
from service.api.responses import json_response
from service.auth.key_cache import KeyCache
from service.auth.key_store import open_key_store
from service.server.connections import listen, runner
from service.server.heartbeat import Heartbeat
from service.server.sockets import bind_address
from service.settings import Settings

MAX_CONNECTIONS = 64
"""Of this port."""
HEARTBEAT = web.AppKey("heartbeat", Heartbeat)


async def livez(request: web.Request) -> web.Response:
    """Liveness: raises Busy when what works has not said so for too long."""
    if overdue_s := request.app[HEARTBEAT].overdue_s:
        raise Busy(f"no heartbeat for {overdue_s:.0f} s: a model hangs")
    return json_response({"status": "alive"})


@asynccontextmanager
async def metrics_endpoint(
    settings: Settings,
    scraper: Scraper,
    *,
    shared: bool = False,
    heartbeat: Heartbeat | None = None,
) -> AsyncIterator[None]:
    """Serve while the block runs, if `metrics_port` is set; with keys where `guards_metrics`.

    shared: with other processes on the port. heartbeat: answers `/livez`. Raises OSError when it
    cannot be listened on.
    """
    if not settings.metrics_port:
        yield
        return
    own = _own(settings)
    listener = bind_address(own.host, own.port, shared=shared)
    app = _app(own, scraper, heartbeat)
    running = runner(app, own, shutdown_s=0.0)
    await running.setup()
    try:
        listening = await listen(running, listener, own)
        try:
            yield
        finally:
            listening.close()
    finally:
        await running.cleanup()


def _own(settings: Settings) -> Settings:
    """Return the settings of the port for metrics."""
    own = replace(
        settings,
        host=settings.metrics_host,
        port=settings.metrics_port,
        grpc_port=-1,
        max_connections=MAX_CONNECTIONS,
    )
    if settings.guards_metrics:
        return own
    return replace(own, keys="", tls_certificate="", tls_key="")


def _app(own: Settings, scraper: Scraper, heartbeat: Heartbeat | None) -> web.Application:
    app = web.Application(middlewares=[host_check(own), problems])
    app[KNOWN_HOSTS], app[SCRAPER] = hosts_of(own), scraper
    if own.keys:
        authenticator = Authenticator(KeyCache(open_key_store(own.keys, redis=own.redis)))
        app.middlewares.append(authenticator.check)
        app.cleanup_ctx.append(authenticator.watch)
    app.add_routes([web.get(METRICS, scrape)])
    if heartbeat is not None:
        app[HEARTBEAT] = heartbeat
        app.add_routes([web.get("/livez", livez)])
    check_expectations(app)
    app.on_response_prepare.append(name_response)
    return app
