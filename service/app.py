"""Builds the gateway as an aiohttp application."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from common.budget import Budget
from service.api import promotion, records, routes, trainings
from service.api.authentication import AUTHENTICATOR, METRICS, Authenticator
from service.api.context import BODY_BUDGET, GATEWAY, POOL
from service.api.cors import cors
from service.api.events import events
from service.api.host_check import KNOWN_HOSTS, host_check, hosts_of
from service.api.local_admin import local_admin
from service.api.metrics import SCRAPER, Scraper, scrape
from service.api.middleware import check_expectations, identify, name_response, problems
from service.api.open_inference import add_open_inference
from service.api.page import page, page_file
from service.api.stream import stream
from service.api.url_fetch import URL_FETCHER, UrlFetcher
from service.api_description.routes import add_description
from service.auth.key_cache import KeyCache
from service.auth.key_store import open_key_store
from service.auth.limits import SharedLimits
from service.event_feed.feed import Bus
from service.inference.decode_pool import DecodePool
from service.inference.gateway import Gateway
from service.metrics.metrics import Metrics
from service.settings import Settings
from service.trainings.clip_store import ClipStore
from service.trainings.folder import open_folder
from service.trainings.trainings import Trainings


def build(
    settings: Settings,
    *,
    shared_limits: SharedLimits | None = None,
    event_bus: Bus | None = None,
    metrics: Metrics | None = None,
) -> web.Application:
    """Return the application. It loads the models at start and answers 503 until they are ready.

    shared_limits: of the keys, counted by several gateways together. event_bus: carries the events
    that streams publish between them. metrics: of this process.
    """
    sharing = [cors(settings.cors_origins)] if settings.cors_origins else []
    middlewares = [identify, host_check(settings), *sharing, problems]
    app = web.Application(middlewares=middlewares, client_max_size=settings.max_body)
    if settings.keys:
        require_keys(app, settings, shared_limits)
    else:
        app.middlewares.append(local_admin(settings.host))
    app[KNOWN_HOSTS] = hosts_of(settings)
    app[GATEWAY] = Gateway(settings, event_bus=event_bus, metrics=metrics)
    app[URL_FETCHER] = UrlFetcher(settings)
    app[POOL] = DecodePool(threads=settings.decode_threads, limit=settings.max_clips)
    app[BODY_BUDGET] = Budget(settings.max_buffered, "bytes of bodies and messages are in memory")
    add_monitoring(app)
    add_page(app)
    add_models(app)
    add_open_inference(app)
    add_archive(app)
    add_trainings(app, settings)
    check_expectations(app)
    app.on_response_prepare.append(name_response)
    app.on_shutdown.append(shut_down)
    app.cleanup_ctx.append(lifespan)
    return app


def add_models(app: web.Application) -> None:
    """Add what classifies, the models, and the events of their streams."""
    app.add_routes(
        [
            # First: the router tries one after the other.
            web.post("/v1/models/{name}/classify", routes.classify),
            web.get("/v1/models", routes.models),
            web.get("/v1/models/{name}", routes.model),
            web.get("/v1/models/{name}/report", routes.model_report),
            web.post("/v1/models/{name}/load", routes.load),
            web.get("/v1/models/{name}/stream", stream, allow_head=False),
            web.get("/v1/events", events, allow_head=False),
        ]
    )


def add_page(app: web.Application) -> None:
    """Add the page and the description, which are there for everybody."""
    app.add_routes(
        [
            web.get("/", page),
            web.get("/app/{view}", page),
            web.get("/app/{version}/{file}", page_file),
        ]
    )
    add_description(app)


def add_monitoring(app: web.Application) -> None:
    """Add what probes and Prometheus ask for."""
    app[SCRAPER] = Scraper(app[GATEWAY].metrics)
    app.add_routes(
        [
            web.get("/livez", routes.livez),
            web.get("/readyz", routes.readyz),
            web.get(METRICS, scrape),
        ]
    )


def add_archive(app: web.Application) -> None:
    """Add the archive of other machines' records; without the setting `archive` they get 404.

    Raises Unprocessable for a path that cannot be used.
    """
    if app[GATEWAY].settings.archive:
        app[records.RECORDS] = records.make_receiver(app[GATEWAY])
        app.cleanup_ctx.append(records.closing)
    app.add_routes([web.post("/v1/records", records.add_records)])


def add_trainings(app: web.Application, settings: Settings) -> None:
    """Add trainings and labelled clips; without the setting `trainings` they answer 404.

    Raises Unprocessable when its folder cannot be used.
    """
    if settings.trainings:
        folder = open_folder(settings.trainings)
        app[trainings.TRAININGS] = Trainings(folder, settings)
        app[trainings.CLIPS] = ClipStore(
            folder, max_clips=settings.max_labelled_clips, max_bytes=settings.max_labelled_bytes
        )
        app.cleanup_ctx.append(app[trainings.TRAININGS].watch)
    app.add_routes(
        [
            web.post("/v1/models/{name}/promote", promotion.promote),
            web.post("/v1/trainings", trainings.start),
            web.get("/v1/trainings", trainings.listing),
            web.get("/v1/trainings/{id}", trainings.training),
            web.delete("/v1/trainings/{id}", trainings.cancel),
            web.get("/v1/trainings/{id}/report", trainings.report),
            web.get("/v1/collections", trainings.collections),
            web.get("/v1/collections/{collection}", trainings.collection),
            web.post("/v1/collections/{collection}/{label}", trainings.add_clip),
            web.get("/v1/collections/{collection}/{label}/{id}", trainings.clip),
            web.delete("/v1/collections/{collection}/{label}/{id}", trainings.remove_clip),
        ]
    )


def require_keys(
    app: web.Application, settings: Settings, shared_limits: SharedLimits | None
) -> None:
    """Require an API key on every request. Raises Unprocessable on an invalid setting `keys`."""
    if settings.redis:
        # Imported here so that a server without Redis never pays for it.
        from service.auth import redis_limits

        shared_limits = redis_limits.RedisLimits(settings.redis)
    keys = KeyCache(open_key_store(settings.keys, redis=settings.redis))
    authenticator = Authenticator(keys, shared_limits)
    app[AUTHENTICATOR] = authenticator
    app.middlewares.append(authenticator.check)
    app.cleanup_ctx.append(authenticator.watch)


async def shut_down(app: web.Application) -> None:
    """Finish what is accepted before connections are closed."""
    await app[GATEWAY].shut_down()


async def lifespan(app: web.Application) -> AsyncIterator[None]:
    """Load the models at start; end the threads after shutdown."""
    app[GATEWAY].open()
    yield
    app[GATEWAY].opening.cancel()
    app[POOL].close()
    if tracer := app[GATEWAY].tracer:
        await asyncio.to_thread(tracer.close)
