"""Classifies files in this process, through the same gateway as the server."""

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
from common.folders import files_below
from models.events import check_settings
from models.store import DEFAULT_PATH, Model
from service.inference import clips, pictures
from service.inference.decode_pool import DecodePool
from service.inference.gateway import Gateway
from service.settings import Settings

Found: TypeAlias = dict[str, Any] | TimbreError
"""The result of a file, or its error."""
Pending: TypeAlias = tuple[Path, asyncio.Task[Found]]
Classify: TypeAlias = Callable[[bytes], Awaitable[dict[str, Any]]]

LONGEST_S = 3_600.0
DAY_S = 86_400.0


@dataclass(frozen=True)
class OfflineClassifier:
    """A loaded model, with the gateway and the decoder threads that it needs."""

    model: Model
    gateway: Gateway
    pool: DecodePool
    threads: int

    @property
    def takes_pictures(self) -> bool:
        """Whether the model takes pictures."""
        return self.model.input.medium == "picture"

    def files(self, paths: list[Path]) -> tuple[list[Path], list[Path]]:
        """Return the files to classify and those of folders that are of another kind, in order."""
        return files_in(paths, self.model.input.takes)

    def classifier(
        self,
        *,
        hop: float | None,
        top_k: int | None,
        metadata: Mapping[str, str],
        partial: bool = False,
        event_settings: Any = None,
    ) -> Classify:
        """Return a function that classifies the bytes of a file.

        hop: seconds; None is one window. partial: read a sound with missing parts as far as it
        goes. event_settings: of the events by label; None: there are no events. Raises
        Unprocessable for options the model does not have.
        """
        if self.takes_pictures:
            if partial or event_settings is not None:
                lack = "are whole" if partial else "have no events"
                raise Unprocessable(f"model {self.model.name!r} takes pictures, which {lack}")
            return self._picture_classifier(hop=hop, top_k=top_k, metadata=metadata)
        if metadata:
            raise Unprocessable(
                f"model {self.model.name!r} is an audio model and takes no metadata"
            )
        events = event_settings is not None
        samples = clips.hop_samples(
            hop,
            config=self.model.sound[0],
            min_hop=self.gateway.settings.min_hop,
            events=events,
        )
        query = clips.ClipQuery(
            model=self.model,
            hop=samples,
            top_k=top_k,
            partial=partial,
            event_settings=check_settings(event_settings, self.model.labels) if events else None,
        )
        return lambda data: clips.classify(self.gateway, self.pool, query, data)

    def _picture_classifier(
        self, *, hop: float | None, top_k: int | None, metadata: Mapping[str, str]
    ) -> Classify:
        from features.picture import facts

        if hop is not None:
            raise Unprocessable(f"model {self.model.name!r} takes pictures, which have no hop")
        facts(self.model.picture, metadata)
        query = pictures.PictureQuery(
            model=self.model, top_k=top_k or pictures.TOP_K, metadata=metadata
        )
        return lambda data: pictures.classify(self.gateway, self.pool, query, data)

    async def results(
        self, files: list[Path], classify: Classify
    ) -> AsyncGenerator[tuple[Path, Found]]:
        """Yield each file with its result or its error, in order."""
        pending: deque[Pending] = deque()
        # Enough to keep all threads busy and to fill batches; more would only take memory.
        limit = 4 * self.threads if self.takes_pictures else 2 * self.threads
        try:
            for path in files:
                pending.append((path, asyncio.create_task(self._result(path, classify))))
                if len(pending) > limit:
                    yield await _first(pending)
            while pending:
                yield await _first(pending)
        finally:
            for _, task in pending:
                task.cancel()

    async def _result(self, path: Path, classify: Classify) -> Found:
        begin = time.perf_counter()
        try:
            found = await classify(await asyncio.to_thread(self._read, path))
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


def files_in(paths: list[Path], takes: Callable[[Path], bool]) -> tuple[list[Path], list[Path]]:
    """Return the files, those below folders if they are taken, in order; and the others there."""
    found: list[Path] = []
    others: list[Path] = []
    for path in paths:
        inside = [path / name for name in sorted(files_below(path))] if path.is_dir() else []
        known = set(taken := [each for each in inside if takes(each)])
        found += taken or [path]
        others += [each for each in inside if each not in known]
    return found, others


@asynccontextmanager
async def opened(model: str, *, artefacts: Path | None) -> AsyncIterator[OfflineClassifier]:
    """Load a model of this name. Raises ArtefactError if it is missing or rejected."""
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
    """Return the settings of a server, with long deadlines."""
    return Settings(
        artefacts=artefacts,
        models=(model,),
        max_seconds=LONGEST_S,
        max_samples=sys.maxsize,
        max_windows=round(LONGEST_S / Settings.min_hop),
        clip_deadline=DAY_S,
        ffmpeg=True,
    )


async def _first(pending: deque[Pending]) -> tuple[Path, Found]:
    path, task = pending.popleft()
    return path, await task
