"""Stream a source to a server and show the results, until it ends or Ctrl-C."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass

from rich.console import Group
from rich.live import Live

from common.console import console
from common.errors import Busy
from service.cli.stream_state import StreamState
from service.cli.terminal_view import render
from service.client import Client
from service.client.events import Event, Lost, SourceWarn
from service.client.stream import RECONNECT_TIMEOUT_S, Stream
from service.client.transport import Response
from service.sources.inputs import Source

FRAMES_PER_S = 10
GRACE_S = 2.0
"""Seconds to wait for pending results after Ctrl-C."""


@dataclass(frozen=True, kw_only=True)
class ListenOptions:
    """The options of the command line."""

    url: str
    token: str | None
    model: str
    hop: float
    """Seconds."""
    authorities: str | None = None
    """PEM file of the certificates to trust."""
    events: bool = False
    """Whether each label is told from onset to offset too."""


async def listen(
    source: Source, options: ListenOptions, *, report: Callable[[Event], None] | None = None
) -> StreamState:
    """Stream a source to its end or Ctrl-C; return the last state. Raises as `Client.stream` does.

    report: called with each event, instead of showing the state on the terminal.
    """
    client = Client(options.url, options.token, authorities=options.authorities)
    patience_s = math.inf if source.name == "mic" else RECONNECT_TIMEOUT_S
    state = await _state_of(client, source, options, patience_s=patience_s)
    screen = nullcontext() if report else _screen(state)
    async with (
        client.stream(
            options.model,
            sample_rate=source.sample_rate,
            channels=source.channels,
            hop=options.hop,
            events=options.events,
            patience_s=patience_s,
        ) as stream,
        screen,
    ):
        await _run(source, stream, state, report)
    return state


async def _run(
    source: Source, stream: Stream, state: StreamState, report: Callable[[Event], None] | None
) -> None:
    def record(event: Event) -> None:
        state.record(event)
        if report:
            report(event)

    stopped = _stop_requested()
    feeding = asyncio.create_task(_feed(source, stream, state, record=record, stopped=stopped))
    grace = asyncio.create_task(_grace(stopped))
    doubts = [SourceWarn(kind=each.kind, detail=each.detail) for each in source.warnings]
    reading = asyncio.create_task(_read(stream, doubts, record))
    try:
        await asyncio.wait((reading, grace), return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            await reading
            await feeding
    finally:
        for task in (feeding, grace, reading):
            task.cancel()
        await asyncio.gather(feeding, grace, reading, return_exceptions=True)


async def _feed(
    source: Source,
    stream: Stream,
    state: StreamState,
    *,
    record: Callable[[Event], None],
    stopped: asyncio.Event,
) -> None:
    try:
        async with aclosing(source.chunks()) as chunks:
            async for samples, lost in chunks:
                if stopped.is_set():
                    break
                if lost:
                    record(
                        Lost(
                            from_sample=stream.captured, to_sample=stream.captured, reason="device"
                        )
                    )
                state.add_samples(samples)
                await stream.send(samples)
    finally:
        await stream.finish()


async def _read(stream: Stream, doubts: list[SourceWarn], record: Callable[[Event], None]) -> None:
    async for event in stream:
        record(event)
        # Behind the first event, which says what the stream is.
        for doubt in doubts:
            record(doubt)
        doubts.clear()


async def _grace(stopped: asyncio.Event) -> None:
    await stopped.wait()
    await asyncio.sleep(GRACE_S)


def _stop_requested() -> asyncio.Event:
    """Return an event that the first Ctrl-C sets; a second one interrupts as usual."""
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stopped.set()

    with suppress(NotImplementedError, RuntimeError):  # Windows, or not the main thread
        loop.add_signal_handler(signal.SIGINT, stop)
    return stopped


async def _state_of(
    client: Client, source: Source, options: ListenOptions, *, patience_s: float
) -> StreamState:
    described = await _described(client, options.model, patience_s=patience_s)
    return StreamState(
        source=source.name,
        rate=source.sample_rate,
        url=client.url,
        model=options.model,
        thresholds={label["name"]: label["threshold"] for label in described["labels"]},
    )


async def _described(client: Client, model: str, *, patience_s: float) -> Response:
    """Return the description of a model; wait for a server that is still loading. Raises Busy."""
    loop = asyncio.get_running_loop()
    end = loop.time() + patience_s
    while True:
        try:
            return await client.describe(model)
        except Busy as error:
            if loop.time() >= end:
                raise
            await asyncio.sleep(error.retry_after)


@asynccontextmanager
async def _screen(state: StreamState) -> AsyncIterator[None]:
    """Show the state on the terminal's alternate screen."""
    terminal = console()

    def picture() -> Group:
        return render(state, width=terminal.width, height=terminal.height)

    async def refresh() -> None:
        while True:
            live.update(picture(), refresh=True)
            await asyncio.sleep(1 / FRAMES_PER_S)

    # Rendered from this loop, not from the thread rich would start: the state changes only between
    # frames.
    with Live(picture(), console=terminal, screen=True, auto_refresh=False) as live:
        refreshing = asyncio.create_task(refresh())
        try:
            yield
        finally:
            refreshing.cancel()
