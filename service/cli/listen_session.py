"""Stream a source to a server and show what comes back, until it ends or the listener has heard enough."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live

from features.config import Samples
from service.cli.stream_state import StreamState
from service.cli.terminal_view import render
from service.client import Client
from service.client.events import Event, Lost
from service.client.stream import PATIENCE_S, Stream

FRAMES_PER_S = 10
FAREWELL_S = 2.0
"""How long a listener who wants to leave waits for the answers that are still out."""


class Source(Protocol):
    """Where sound comes from: a microphone, a file at real speed."""

    name: str
    sample_rate: int
    channels: int

    def chunks(self) -> AsyncGenerator[tuple[Samples, bool]]:
        """Yield chunks of shape (n,) or (n, channels), and whether sound was lost before one."""


@dataclass(frozen=True, kw_only=True)
class ListenOptions:
    """What is asked for on the command line."""

    url: str
    token: str | None
    model: str
    hop: float
    """Seconds."""
    authorities: str | None = None
    """PEM file of the certificates to trust."""


async def listen(
    source: Source, wish: ListenOptions, *, tell: Callable[[Event], None] | None = None
) -> StreamState:
    """Stream a source to its end, or to Ctrl-C; return what was seen. Raises what `Client.stream` raises.

    tell: called with each event, instead of showing the board on the terminal.
    """
    client = Client(wish.url, wish.token, authorities=wish.authorities)
    board = await _board(client, source, wish)
    patience_s = math.inf if source.name == "mic" else PATIENCE_S
    screen = nullcontext() if tell else _screen(board)
    async with (
        client.stream(
            wish.model,
            sample_rate=source.sample_rate,
            channels=source.channels,
            hop=wish.hop,
            patience_s=patience_s,
        ) as stream,
        screen,
    ):
        await _converse(source, stream, board, tell)
    return board


async def _converse(
    source: Source, stream: Stream, board: StreamState, tell: Callable[[Event], None] | None
) -> None:
    def note(event: Event) -> None:
        board.note(event)
        if tell:
            tell(event)

    enough = _enough()
    feeding = asyncio.create_task(_feed(source, stream, board, note=note, enough=enough))
    farewell = asyncio.create_task(_farewell(enough))
    reading = asyncio.create_task(_read(stream, note))
    try:
        await asyncio.wait((reading, farewell), return_when=asyncio.FIRST_COMPLETED)
        if reading.done():
            await reading
            await feeding
    finally:
        for task in (feeding, farewell, reading):
            task.cancel()
        await asyncio.gather(feeding, farewell, reading, return_exceptions=True)


async def _feed(
    source: Source,
    stream: Stream,
    board: StreamState,
    *,
    note: Callable[[Event], None],
    enough: asyncio.Event,
) -> None:
    try:
        async with aclosing(source.chunks()) as chunks:
            async for samples, lost in chunks:
                if enough.is_set():
                    break
                if lost:
                    note(
                        Lost(
                            from_sample=stream.captured, to_sample=stream.captured, reason="device"
                        )
                    )
                board.hear(samples)
                await stream.send(samples)
    finally:
        await stream.finish()


async def _read(stream: Stream, note: Callable[[Event], None]) -> None:
    async for event in stream:
        note(event)


async def _farewell(enough: asyncio.Event) -> None:
    await enough.wait()
    await asyncio.sleep(FAREWELL_S)


def _enough() -> asyncio.Event:
    """Return what Ctrl-C sets; a second Ctrl-C interrupts as usual."""
    enough, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        enough.set()

    with suppress(NotImplementedError, RuntimeError):  # Windows, or not the main thread
        loop.add_signal_handler(signal.SIGINT, stop)
    return enough


async def _board(client: Client, source: Source, wish: ListenOptions) -> StreamState:
    described = await client.describe(wish.model)
    return StreamState(
        source=source.name,
        rate=source.sample_rate,
        url=client.url,
        model=wish.model,
        thresholds={label["name"]: label["threshold"] for label in described["labels"]},
    )


@asynccontextmanager
async def _screen(board: StreamState) -> AsyncIterator[None]:
    """Show the board on the terminal's other screen while it lasts."""
    console = Console()

    def picture() -> Group:
        return render(board, width=console.width, height=console.height)

    async def refresh() -> None:
        while True:
            live.update(picture(), refresh=True)
            await asyncio.sleep(1 / FRAMES_PER_S)

    # Drawn from this loop, not from the thread rich would start: the board changes between frames
    # only.
    with Live(picture(), console=console, screen=True, auto_refresh=False) as live:
        refreshing = asyncio.create_task(refresh())
        try:
            yield
        finally:
            refreshing.cancel()
