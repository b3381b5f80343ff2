"""Files to answers in this process, through the same gateway a server has, but without the server."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from features.errors import InputError, TimbreError
from models.store import DEFAULT_PATH
from service.clips import Pool, Query, answer, hop_samples
from service.gateway import Gateway
from service.settings import Settings

SUFFIXES = {".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"}
"""What is taken from a folder; a file that is named is always tried."""
LONGEST_S = 3_600.0
DAY_S = 86_400.0


def sound_files(paths: list[Path]) -> list[Path]:
    """Return the files named and the sound files in the folders named, below them too, in order."""
    found: list[Path] = []
    for path in paths:
        inside = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES) if path.is_dir() else []
        found += inside or [path]
    return found


async def classify(
    files: list[Path], *, model: str, hop: float | None, artefacts: Path | None
) -> AsyncIterator[tuple[Path, dict[str, Any] | TimbreError]]:
    """Yield each file with its answer, or with the error that says why there is none, in order.

    hop: seconds; None is the window itself. Raises ArtefactError when the model cannot be had, Unprocessable when the
    hop is out of range.
    """
    threads = os.cpu_count() or 1
    settings = Settings(
        artefacts=artefacts or DEFAULT_PATH,
        models=(model,),
        max_seconds=LONGEST_S,
        max_windows=round(LONGEST_S / Settings.min_hop),
        clip_deadline=DAY_S,
    )
    gateway, pool = Gateway(settings), Pool(threads=threads, limit=len(files))
    gateway.open()
    await gateway.opening
    try:
        target = gateway.catalogue.find(model)
        query = Query(model=target, hop=hop_samples(hop, config=target.config, min_hop=settings.min_hop), top_k=None)
        waiting: deque[tuple[Path, asyncio.Task[dict[str, Any] | TimbreError]]] = deque()
        for path in files:
            waiting.append((path, asyncio.create_task(_answer(gateway, pool, query, path))))
            # Enough to keep every thread at work; more would only hold more files in memory.
            if len(waiting) > 2 * threads:
                yield await _first(waiting)
        while waiting:
            yield await _first(waiting)
    finally:
        pool.close()
        await gateway.leave()


async def _first(
    waiting: deque[tuple[Path, asyncio.Task[dict[str, Any] | TimbreError]]],
) -> tuple[Path, dict[str, Any] | TimbreError]:
    path, task = waiting.popleft()
    return path, await task


async def _answer(gateway: Gateway, pool: Pool, query: Query, path: Path) -> dict[str, Any] | TimbreError:
    begin = time.perf_counter()
    try:
        data = await asyncio.to_thread(path.read_bytes)
        found = await answer(gateway, pool, query, data)
    except OSError as error:
        return InputError(error.strerror or str(error))
    except TimbreError as error:
        return error
    found["timing_ms"]["total"] = round(1e3 * (time.perf_counter() - begin), 3)
    return found
