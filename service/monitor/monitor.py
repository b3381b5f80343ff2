"""Runs the sources and the sinks of a monitor until it is told to end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from common.errors import TimbreError
from service.archive.records import Record
from service.client import Client
from service.log import log
from service.monitor.config import FOLDER, MonitorSettings, SourceSettings, make_sink
from service.monitor.folder_follower import FolderFollower
from service.monitor.follower import Follower
from service.monitor.local_server import local_server
from service.monitor.metrics import MonitorMetrics, served
from service.monitor.sinks.base import EVERY_S, SinkQueue
from service.server.systemd import Systemd

ALIVE_S = 1.0
"""Between two signs of life for systemd."""
STOP_S = 5.0
"""Seconds that sources have at the end for what is under way."""


async def monitor(settings: MonitorSettings, stopped: asyncio.Event) -> None:
    """Follow all sources until they have ended or `stopped` is set; then close the sinks.

    Raises TimbreError when the models of this process, or the metrics, cannot be served.
    """
    async with AsyncExitStack() as stack:
        metrics = MonitorMetrics([source.name for source in settings.sources])
        where = settings.metrics_host, settings.metrics_port
        await stack.enter_async_context(served(metrics, *where))
        url = settings.server or await stack.enter_async_context(local_server(settings.artefacts))
        token = os.environ.get("TIMBRE_TOKEN") if settings.server else None
        client = Client(url, token, authorities=settings.ca or None)
        queues = await stack.enter_async_context(_sinks(settings))

        def put(record: Record) -> None:
            metrics.record(record)
            for queue in queues:
                # Before the record, which is no backlog yet.
                metrics.sink(queue)
                queue.put(record)

        async def written() -> None:
            await asyncio.gather(*(queue.written() for queue in queues))

        followers = {each.name: follower(each, client, put, written) for each in settings.sources}
        following = [
            asyncio.create_task(_follow(each, name, stopped)) for name, each in followers.items()
        ]
        log("monitor started", sources=len(following), sinks=len(queues))
        await stack.enter_async_context(_watched())
        stopping = asyncio.create_task(stopped.wait())
        try:
            while following and not stopped.is_set():
                waiting = (stopping, *following)
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                following = [task for task in following if task not in done]
            for each in followers.values():
                each.stop()
            if following:
                await asyncio.wait(following, timeout=STOP_S)
        finally:
            for task in (stopping, *following):
                task.cancel()
            await asyncio.gather(stopping, *following, return_exceptions=True)


@asynccontextmanager
async def _watched() -> AsyncIterator[None]:
    """Tell systemd, where it waits for it, that this is ready, each second alive, and stopping."""
    systemd = Systemd()

    async def live() -> None:
        while systemd.waits:
            systemd.alive()
            await asyncio.sleep(ALIVE_S)

    systemd.ready()
    living = asyncio.create_task(live())
    try:
        yield
    finally:
        systemd.stopping()
        living.cancel()
        await asyncio.gather(living, return_exceptions=True)


def follower(
    source: SourceSettings,
    client: Client,
    put: Callable[[Record], None],
    written: Callable[[], Awaitable[None]],
) -> Follower | FolderFollower:
    """Return what follows a source. written: returns once the sinks have what was put so far."""
    if source.input.startswith(FOLDER):
        return FolderFollower(source, client, put, written=written)
    return Follower(source, client, put)


async def _follow(source: Follower | FolderFollower, name: str, stopped: asyncio.Event) -> None:
    try:
        await source.run()
    except TimbreError as error:
        # The others go on.
        log("source ended", source=name, why=str(error))
    else:
        why = "the monitor was stopped" if stopped.is_set() else "it is at its end"
        log("source ended", source=name, why=why)


@asynccontextmanager
async def _sinks(settings: MonitorSettings) -> AsyncIterator[list[SinkQueue]]:
    """Carry records to the sinks while the block runs, and what waits then at its end."""
    queues = [
        SinkQueue(
            f"{table['kind']} {number}",
            make_sink(table, where=f"sinks[{number}]"),
            every_s=EVERY_S.get(table["kind"], 0.0),
        )
        for number, table in enumerate(settings.sinks)
    ]
    tasks = [asyncio.create_task(queue.run()) for queue in queues]
    try:
        yield queues
    finally:
        await asyncio.gather(
            *(queue.close(task) for queue, task in zip(queues, tasks, strict=True))
        )
