"""What live streams add to the memory of a server: just opened, with sound, and once ended.

Counted is what only the server holds (`Private_*` of Linux): pages of files that are shared with
other processes are not a stream's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from benchmarks import server_process
from benchmarks.serving import streams, websocket
from common.errors import TimbreError
from service import protocol

TITLE = "The memory of live streams"
MODELS = ("instruments-forest", "instruments")
BEFORE, OPEN, ACTIVE, ENDED = "before", "just opened", "with sound at a 1-s hop", "ended"
BUDGETS = {OPEN: 40.0, ACTIVE: 500.0}
"""Kilobytes of a stream, at most."""
STREAMS, SECONDS, SETTLE_S = 200, 8.0, 7.0
"""A server returns free memory 5 s after its last stream."""
OPEN_S = 60.0
"""Seconds until all streams are open, at most."""


def run(
    *, tiny: bool = False, options: list[str] | None = None, models: tuple[str, ...] = MODELS
) -> list[dict[str, Any]]:
    """Return rows: model, what, streams, server_mb, kb_per_stream (over the server `before`).

    options: of the server. Raises TimbreError beside Linux.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        raise TimbreError("memory is counted in /proc, which only Linux has")
    table = []
    for model in models:
        chosen = [*(options or []), "--set", f"models={model}"]
        with server_process.served(chosen) as (url, pid):
            table += asyncio.run(_measure(url, pid, model, tiny=tiny))
    return table


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    return [
        f"{row['model']}, {row['what']}: {row['kb_per_stream']:.0f} kB a stream, at most {budget:g}"
        for row in table
        if row["kb_per_stream"] > (budget := BUDGETS.get(row["what"], float("inf")))
    ]


async def _measure(url: str, pid: int, model: str, *, tiny: bool) -> list[dict[str, Any]]:
    count, seconds, settle = (2, 2.5, 0.0) if tiny else (STREAMS, SECONDS, SETTLE_S)
    # What the first streams load, and what the allocator keeps of them, is not the others'.
    await _play(url, model, pid, count=max(2, count // 10), seconds=2.5)
    await asyncio.sleep(settle)
    before = private(pid)
    found = {BEFORE: before}
    async with _opened(url, model, count):
        found[OPEN] = private(pid)
    await asyncio.sleep(settle)
    found[ACTIVE] = await _play(url, model, pid, count=count, seconds=seconds)
    await asyncio.sleep(settle)
    found[ENDED] = private(pid)
    return [
        {
            "model": model,
            "what": what,
            "streams": count,
            "server_mb": held / 1e6,
            "kb_per_stream": (held - before) / 1e3 / count,
        }
        for what, held in found.items()
    ]


async def _play(url: str, model: str, pid: int, *, count: int, seconds: float) -> int:
    """Return the bytes held while so many streams have sound. Raises TimbreError if one fails."""
    load = streams.Load(streams=count, seconds=seconds, hop=1.0, model=model)
    playing = asyncio.create_task(streams.run(url, load, streams.sound_of(load)))
    await asyncio.sleep(seconds - 0.5)
    held = private(pid)
    tally = await playing
    if tally.failed or tally.busy:
        raise TimbreError(f"streams failed: {dict(tally.failed)}, rejected: {tally.busy}")
    return held


@contextlib.asynccontextmanager
async def _opened(url: str, model: str, count: int) -> AsyncIterator[None]:
    """Hold streams open that have sent `start` and no sound."""
    clients = [_Silent(f"{url}/v1/models/{model}/stream") for _ in range(count)]
    try:
        async with asyncio.timeout(OPEN_S):
            for client in clients:
                await client.connect()
            await asyncio.gather(*(client.ready for client in clients))
        yield
    finally:
        for client in clients:
            if hasattr(client, "transport"):
                client.transport.abort()


class _Silent(websocket.Client):
    """A stream without sound."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def opened(self) -> None:
        """Send `start`."""
        start = protocol.encode(protocol.Start(sample_rate=16_000, hop=1.0))
        self.transport.write(websocket.frame(websocket.TEXT, start.encode()))

    def text(self, message: bytes) -> None:
        """Take note of `ready`."""
        if isinstance(protocol.parse_server(message.decode()), protocol.Ready):
            self.ready.set_result(None)

    def closed(self, why: str) -> None:
        """Fail if the server has not accepted the stream."""
        if not self.ready.done():
            self.ready.set_exception(TimbreError(f"the stream was not opened: {why}"))


def private(pid: int) -> int:
    """Return the bytes that only a process and its children hold."""
    total = 0
    for each in (pid, *server_process.children(pid)):
        rollup = Path(f"/proc/{each}/smaps_rollup").read_text(encoding="utf-8")
        lines = [line.split() for line in rollup.splitlines() if line.startswith("Private_")]
        total += sum(int(line[1]) for line in lines) * 1024
    return total
