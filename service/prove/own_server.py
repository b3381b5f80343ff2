"""A `timbre serve` of its own for as long as it is needed, on a free port of loopback."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from common.errors import TimbreError
from service.settings import REDIS_VARIABLE

READY_S = 120.0
STOP_S = 15.0
LAST_LINES = 5
READY = re.compile(r" ready url=(\S+)(?: grpc=(\S+))?")
WORKER = " worker ready "


@dataclass(frozen=True)
class Server:
    """Where a server is reached."""

    url: str
    grpc: str = ""
    """HOST:PORT; empty: not by gRPC."""


@asynccontextmanager
async def running(
    artefacts: Path, models: Iterable[str], *, redis: str = ""
) -> AsyncIterator[Server]:
    """Start a server of these models, with gRPC where that is installed; yield it, end it.

    redis: address of the queue; then with a worker of its own. Raises TimbreError with the server's
    last lines if it does not get ready.
    """
    options = ["--port", "0", "--artefacts", str(artefacts), "--set", f"models={','.join(models)}"]
    options += ["--set", "ffmpeg=true"]  # as in this process
    if importlib.util.find_spec("grpc"):
        options += ["--grpc-port", "0"]
    # By the environment, for command lines can be read by every user.
    environment = {key: value for key, value in os.environ.items() if key != REDIS_VARIABLE}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "service.cli.main", "serve", *options,
        env=environment | ({REDIS_VARIABLE: redis} if redis else {}),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None  # it is a pipe
    reading: asyncio.Task[None] | None = None
    try:
        server = await _until_ready(process.stderr, worker=bool(redis))
        # A pipe that nobody reads fills up, and then blocks the server.
        reading = asyncio.create_task(_drain(process.stderr))
        yield server
    finally:
        if reading:
            reading.cancel()
        await _end(process)


async def _until_ready(log: asyncio.StreamReader, *, worker: bool) -> Server:
    """Return the server once the gateway and, if there is one, the worker are ready."""
    server, lines = None, deque[str](maxlen=LAST_LINES)
    with suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            while line := (await log.readline()).decode(errors="replace"):
                lines.append(line.strip())
                if found := READY.search(line):
                    server = Server(found[1], found[2] or "")
                worker = worker and WORKER not in line
                if server and not worker:
                    return server
    raise TimbreError(f"the server did not get ready: {' | '.join(lines) or 'it said nothing'}")


async def _drain(log: asyncio.StreamReader) -> None:
    while await log.read(2**16):
        pass


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_S):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
