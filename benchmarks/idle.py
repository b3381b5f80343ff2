"""What a server costs that has nothing to do: wake-ups and CPU time, without streams and with one.

A wake-up is a voluntary context switch of any thread of the server, as Linux counts them.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import server_process
from common.errors import TimbreError
from service import protocol

TITLE = "A server without work"
IDLE, STREAM = "no stream, no request", "one open stream without audio"
BUDGETS = {IDLE: (5.0, 0.1)}
"""Wake-ups a second and percent of a core, at most."""
SETTLE_S, SECONDS = 7.0, 60.0
"""A model's thread ends after 5 s without a job."""
TINY_S = 0.5


def run(
    *, tiny: bool = False, options: list[str] | None = None, model: str = "instruments"
) -> list[dict[str, Any]]:
    """Return rows: what, wakeups_per_s, cpu_percent, mib. Raises TimbreError beside Linux.

    options: of the server.
    """
    if not Path("/proc/self/status").exists():
        raise TimbreError("wake-ups are counted in /proc, which only Linux has")
    settle, seconds = (0.0, TINY_S) if tiny else (SETTLE_S, SECONDS)
    with server_process.served(options or []) as (url, pid):
        time.sleep(settle)
        idle = _measured(IDLE, pid, seconds)
        stream = asyncio.run(_with_stream(url, model, pid, settle=settle, seconds=seconds))
    return [idle, stream]


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each budget that is not met."""
    lines = []
    for row in table:
        wakeups, percent = BUDGETS.get(row["what"], (float("inf"), float("inf")))
        if row["wakeups_per_s"] > wakeups:
            lines.append(f"{row['what']}: {row['wakeups_per_s']:.1f} wake-ups/s, at most {wakeups}")
        if row["cpu_percent"] > percent:
            lines.append(f"{row['what']}: {row['cpu_percent']:.2f} % CPU, at most {percent} %")
    return lines


async def _with_stream(
    url: str, model: str, pid: int, *, settle: float, seconds: float
) -> dict[str, Any]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/v1/models/{model}/stream") as socket,
    ):
        await socket.send_str(protocol.encode(protocol.Start(sample_rate=16_000)))
        ready = protocol.parse_server((await socket.receive()).data)
        if not isinstance(ready, protocol.Ready):
            raise TimbreError(f"the stream was not opened: {ready}")
        await asyncio.sleep(settle)
        return await asyncio.to_thread(_measured, STREAM, pid, seconds)


def _measured(what: str, pid: int, seconds: float) -> dict[str, Any]:
    begin, switches, (cpu, _) = time.monotonic(), wakeups(pid), server_process.cost(pid)
    time.sleep(seconds)
    more, (cpu_after, mib) = wakeups(pid), server_process.cost(pid)
    took = time.monotonic() - begin
    return {
        "what": what,
        "wakeups_per_s": sum(more[task] - switches.get(task, 0) for task in more) / took,
        "cpu_percent": 100 * (cpu_after - cpu) / took,
        "mib": mib,
    }


def wakeups(pid: int) -> dict[str, int]:
    """Return the voluntary context switches so far of each thread of a process and its children."""
    found = {}
    for process in (pid, *server_process.children(pid)):
        for status in Path(f"/proc/{process}/task").glob("*/status"):
            try:
                lines = status.read_text(encoding="utf-8").splitlines()
            except OSError:  # the thread has ended
                continue
            counts = (line.split()[1] for line in lines if line.startswith("voluntary_ctxt"))
            found[status.parent.name] = int(next(counts, "0"))
    return found
