"""Files to answers in this process, through the same gateway a server has, but without the server."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any, TypeAlias

from features.errors import InputError, TimbreError
from models.store import DEFAULT_PATH
from service.clips import Pool, Query, answer, hop_samples
from service.gateway import Gateway
from service.settings import Settings

Found: TypeAlias = dict[str, Any] | TimbreError
"""The answer to a file, or why there is none."""
Waiting: TypeAlias = tuple[Path, asyncio.Task[Found]]

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
) -> AsyncGenerator[tuple[Path, Found]]:
    """Yield each file with its answer, or with the error that says why there is none, in order.

    hop: seconds; None is the window itself. Raises ArtefactError when the model cannot be had, Unprocessable when the
    hop is out of range.
    """
    threads = os.cpu_count() or 1
    settings = _settings(model, artefacts or DEFAULT_PATH)
    gateway, pool = Gateway(settings), Pool(threads=threads, limit=len(files))
    waiting: deque[Waiting] = deque()
    gateway.open()
    try:
        await gateway.opening
        target = gateway.catalogue.find(model)
        query = Query(model=target, hop=hop_samples(hop, config=target.sound[0], min_hop=settings.min_hop), top_k=None)
        for path in files:
            waiting.append((path, asyncio.create_task(_answer(gateway, pool, query, path))))
            # Enough to keep every thread at work; more would only hold more files in memory.
            if len(waiting) > 2 * threads:
                yield await _first(waiting)
        while waiting:
            yield await _first(waiting)
    finally:
        for _, task in waiting:
            task.cancel()
        pool.close()
        await gateway.leave()


def _settings(model: str, artefacts: Path) -> Settings:
    """Return a server's settings, with the patience of somebody who works alone."""
    return Settings(
        artefacts=artefacts,
        models=(model,),
        max_seconds=LONGEST_S,
        max_windows=round(LONGEST_S / Settings.min_hop),
        clip_deadline=DAY_S,
    )


async def _first(waiting: deque[Waiting]) -> tuple[Path, Found]:
    path, task = waiting.popleft()
    return path, await task


async def _answer(gateway: Gateway, pool: Pool, query: Query, path: Path) -> Found:
    begin = time.perf_counter()
    try:
        found = await answer(gateway, pool, query, await asyncio.to_thread(_read, path))
    except TimbreError as error:
        return error
    found["timing_ms"]["total"] = round(1e3 * (time.perf_counter() - begin), 3)
    return found


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise InputError("no sound files in this folder")
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(error.strerror or str(error)) from error
