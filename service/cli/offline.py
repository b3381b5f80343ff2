"""Files to answers in this process, through the same gateway a server has, but without the server."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from common.errors import InputError, TimbreError, Unprocessable
from models.store import DEFAULT_PATH, Model
from service.inference import clips, pictures
from service.inference.decode_pool import DecodePool
from service.inference.gateway import Gateway
from service.settings import Settings

Found: TypeAlias = dict[str, Any] | TimbreError
"""The answer to a file, or why there is none."""
Waiting: TypeAlias = tuple[Path, asyncio.Task[Found]]
Ask: TypeAlias = Callable[[bytes], Awaitable[dict[str, Any]]]

LONGEST_S = 3_600.0
DAY_S = 86_400.0


@dataclass(frozen=True)
class OfflineClassifier:
    """A model that is ready, and what it takes to ask it."""

    model: Model
    gateway: Gateway
    pool: DecodePool
    threads: int

    @property
    def sees(self) -> bool:
        """Whether the model takes pictures."""
        return self.model.input.medium == "picture"

    def files(self, paths: list[Path]) -> list[Path]:
        """Return the files named, and those below the folders named that the model may take, in order."""
        return files_in(paths, self.model.input.suffixes)

    def asking(self, *, hop: float | None, top_k: int | None, metadata: Mapping[str, str]) -> Ask:
        """Return what answers the bytes of a file. hop: seconds; None is the window itself.

        Raises Unprocessable for what makes no sense to this model.
        """
        if self.sees:
            return self._seeing(hop=hop, top_k=top_k, metadata=metadata)
        if metadata:
            raise Unprocessable(
                f"model {self.model.name!r} is an audio model and takes no metadata"
            )
        samples = clips.hop_samples(
            hop, config=self.model.sound[0], min_hop=self.gateway.settings.min_hop
        )
        query = clips.ClipQuery(model=self.model, hop=samples, top_k=top_k)
        return lambda data: clips.classify(self.gateway, self.pool, query, data)

    def _seeing(self, *, hop: float | None, top_k: int | None, metadata: Mapping[str, str]) -> Ask:
        from features.picture import facts

        if hop is not None:
            raise Unprocessable(f"model {self.model.name!r} takes pictures, which have no hop")
        facts(self.model.picture, metadata)
        query = pictures.PictureQuery(
            model=self.model, top_k=top_k or pictures.TOP_K, metadata=metadata
        )
        return lambda data: pictures.classify(self.gateway, self.pool, query, data)

    async def answers(self, files: list[Path], ask: Ask) -> AsyncGenerator[tuple[Path, Found]]:
        """Yield each file with its answer, or with the error that says why there is none, in order."""
        waiting: deque[Waiting] = deque()
        # Enough to keep every thread at work, and to fill batches; more would only hold more files
        # in memory.
        limit = 4 * self.threads if self.sees else 2 * self.threads
        try:
            for path in files:
                waiting.append((path, asyncio.create_task(self._answer(path, ask))))
                if len(waiting) > limit:
                    yield await _first(waiting)
            while waiting:
                yield await _first(waiting)
        finally:
            for _, task in waiting:
                task.cancel()

    async def _answer(self, path: Path, ask: Ask) -> Found:
        begin = time.perf_counter()
        try:
            found = await ask(await asyncio.to_thread(self._read, path))
        except TimbreError as error:
            return error
        found["timing_ms"]["total"] = round(1e3 * (time.perf_counter() - begin), 3)
        return found

    def _read(self, path: Path) -> bytes:
        if path.is_dir():
            raise InputError(f"no {self.model.input.medium} files in this folder")
        try:
            return path.read_bytes()
        except OSError as error:
            raise InputError(error.strerror or str(error)) from error


def files_in(paths: list[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """Return the files named and, of the folders named, the files below them with one of these suffixes, in order."""
    found: list[Path] = []
    for path in paths:
        inside = (
            sorted(each for each in path.rglob("*") if each.suffix.lower() in suffixes)
            if path.is_dir()
            else []
        )
        found += inside or [path]
    return found


@asynccontextmanager
async def opened(model: str, *, artefacts: Path | None) -> AsyncIterator[OfflineClassifier]:
    """Load a model of this name. Raises ArtefactError when it cannot be had."""
    threads = os.cpu_count() or 1
    settings = _settings(model, artefacts or DEFAULT_PATH)
    gateway, pool = Gateway(settings), DecodePool(threads=threads, limit=sys.maxsize)
    gateway.open()
    try:
        await gateway.opening
        yield OfflineClassifier(gateway.registry.find(model), gateway, pool, threads)
    finally:
        pool.close()
        await gateway.shut_down()


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
