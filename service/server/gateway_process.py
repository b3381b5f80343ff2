"""Runs one gateway process from startup to shutdown."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Callable
from functools import partial

from aiohttp import web

from common.errors import ArtefactError
from common.memory import trim
from service.api.context import GATEWAY
from service.api.metrics import SCRAPER
from service.app import build
from service.auth.limits import SharedLimits
from service.event_feed.feed import Bus
from service.hosts import bracketed
from service.inference.gateway import Gateway
from service.inference.histogram import Histogram
from service.lifecycle import CLEANUP_S, on_stop_signal
from service.lifecycle import run as run_process
from service.log import log
from service.metrics.metrics import Metrics
from service.server.connections import runner
from service.server.gateway_states import SharedPort
from service.server.metrics_endpoint import metrics_endpoint
from service.server.ports import Ports, share
from service.server.systemd import Systemd
from service.settings import Settings

HEARTBEAT_S = 1.0
SWITCH_S = 0.001
"""How long a thread that wants the interpreter's lock leaves it to the one that has it. Python's
5 ms are the time of several windows, which the model's thread would lose after each batch."""


def run(
    settings: Settings,
    listener: socket.socket,
    *,
    since: float,
    heartbeat: Callable[[], None] | None = None,
    shared_limits: SharedLimits | None = None,
    event_bus: Bus | None = None,
    metrics: Metrics | None = None,
    shared_port: SharedPort | None = None,
) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code.

    since: time.monotonic() at the start of the program. heartbeat: called every second while the
    loop is alive. shared_limits: of the keys, counted by several gateways together.
    event_bus: carries the events that streams publish between several gateways. metrics: of this
    process. shared_port: with other gateways.
    """
    app = partial(
        build, settings, shared_limits=shared_limits, event_bus=event_bus, metrics=metrics
    )
    return run_process(
        _serve(settings, listener, app, since=since, heartbeat=heartbeat, shared_port=shared_port)
    )


async def _serve(
    settings: Settings,
    listener: socket.socket,
    build_app: Callable[[], web.Application],
    *,
    since: float,
    heartbeat: Callable[[], None] | None,
    shared_port: SharedPort | None,
) -> int:
    stopping = asyncio.Event()
    on_stop_signal(stopping.set, limit_s=settings.grace + CLEANUP_S)
    app = build_app()
    if shared_port:
        app[GATEWAY].waits_for_others = shared_port.waits_for_others
        app.on_response_prepare.append(partial(_disconnect_unless_ready, shared_port))
    running = runner(app, settings, shutdown_s=1.0)
    await running.setup()
    systemd = Systemd()
    if systemd.waits:
        heartbeat = systemd.alive
    heartbeat_task = asyncio.create_task(_repeat(heartbeat, app[GATEWAY])) if heartbeat else None
    ports = Ports(app, running, listener)
    try:
        async with metrics_endpoint(settings, app[SCRAPER], shared=settings.gateways > 1):
            if shared_port:
                await share(ports, shared_port, stopping)
            else:
                await ports.open()
            return await _until_stopped(ports, stopping, systemd, since=since)
    finally:
        if heartbeat_task:
            heartbeat_task.cancel()
        await ports.close(grace=settings.grace)
        await running.cleanup()


async def _disconnect_unless_ready(
    shared_port: SharedPort, _: web.Request, response: web.StreamResponse
) -> None:
    """Have a client connect again, then to a gateway that is ready."""
    if not shared_port.is_ready:
        response.force_close()


async def _until_stopped(
    ports: Ports, stopping: asyncio.Event, systemd: Systemd, *, since: float
) -> int:
    gateway = ports.gateway
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait((gateway.opening, waiting), return_when=asyncio.FIRST_COMPLETED)
    if gateway.opening.done():
        try:
            gateway.opening.result()
        except (ArtefactError, OSError) as error:
            waiting.cancel()
            log("cannot serve", why=error)
            return 1
        _set_up_garbage_collection()
        sys.setswitchinterval(SWITCH_S)
        _log_ready(ports, seconds=time.monotonic() - since)
        systemd.ready()
        gateway.loop_monitor.start()
    await waiting
    systemd.stopping()
    gateway.loop_monitor.stop()
    _log_lag(gateway.loop_monitor.histogram)
    log("shutting down", grace=gateway.settings.grace)
    stopping_grpc = [ports.grpc.stop()] if ports.grpc else []
    await asyncio.gather(gateway.shut_down(), *stopping_grpc)
    return 0


def _set_up_garbage_collection() -> None:
    # What is loaded stays: otherwise every full collection would walk it for tens of milliseconds.
    gc.collect()
    trim()
    gc.freeze()
    # Streams rarely make cycles: looking for those every 700 objects took a tenth of the time.
    gc.set_threshold(2_000, 5, 50)


def _log_ready(ports: Ports, *, seconds: float) -> None:
    gateway, grpc = ports.gateway, ports.grpc
    host, port = ports.address
    scheme = "https" if gateway.settings.tls_key else "http"
    log(
        "ready",
        url=f"{scheme}://{bracketed(host)}:{port}",
        **({"grpc": f"{bracketed(host)}:{grpc.port}"} if grpc else {}),
        models=",".join(f"{model.name}:{model.version}" for model in gateway.models),
        provider=",".join(sorted({model.session.provider for model in gateway.models})),
        seconds=seconds,
    )


def _log_lag(lag: Histogram) -> None:
    quantiles = {f"p{100 * share:g}": lag.quantile(share) for share in (0.5, 0.9, 0.99, 0.999)}
    log("loop lag", **quantiles, max=lag.max_ms)


async def _repeat(heartbeat: Callable[[], None], gateway: Gateway) -> None:
    while True:
        # Without it, a gateway whose model hangs is restarted as one whose loop stands still.
        if not gateway.queue.overdue_s:
            heartbeat()
        await asyncio.sleep(HEARTBEAT_S)
