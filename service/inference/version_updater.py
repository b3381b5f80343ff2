"""Switches to a new model version once it is verified, warmed up and loaded by every worker."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from common.errors import ArtefactError, Busy, NotFound, Refused
from models.pin import Pin
from models.store import Model
from service.inference.registry import ModelRegistry
from service.inference.version_scanner import Candidate, VersionScanner
from service.log import log
from service.queue.base import JobQueue

SCAN_S = 1.0
"""Seconds between two scans of the artefacts folder."""
RETRY_S = 0.2
"""Pause before a queue that went away is waited for again."""
MAX_OLDER = 3
"""Versions before the newest that workers are asked for at the start, each for seconds."""


class VersionUpdater:
    """Keeps the registry at the versions to be served: those found on disk, or requested."""

    def __init__(
        self,
        registry: ModelRegistry,
        scanner: VersionScanner,
        *,
        prepare: Callable[[str, str], Awaitable[None]],
    ) -> None:
        """prepare: returns once all workers have a version.

        Raises ArtefactError if one fails, Busy while the queue is away.
        """
        self._registry = registry
        self._scanner = scanner
        self._prepare = prepare
        # A requested version and one found on disk must not overtake each other.
        self._lock = asyncio.Lock()
        self._switches = 0
        self._failure = ""

    async def settle(self) -> None:
        """Serve at the start what the workers have: an older version where they lack the newest.

        Where they have none, and where the version is pinned, the one served now stays. Raises Busy
        while the queue is away.
        """
        async with self._lock:
            for name, current in tuple(self._registry.served.items()):
                try:
                    await self._prepare(name, current)
                except ArtefactError as error:
                    if self._scanner.pinned(name) != current:
                        await self._fall_back(name, current, error)

    async def _fall_back(self, name: str, current: str, why: ArtefactError) -> None:
        begin = time.monotonic()
        versions = await asyncio.to_thread(self._scanner.versions, name)
        older = [version for version in versions if int(version) < int(current)]
        for version in older[: -MAX_OLDER - 1 : -1]:
            with suppress(ArtefactError, NotFound):
                self._switch(await self._prepared(name, version), None, begin)
                # The next scans try it again.
                self._scanner.reject(name, current, str(why), ())
                return
        log("workers lack the model", model=name, version=current, why=why)

    async def watch(self) -> None:
        """Switch to new versions on disk, until cancelled."""
        stopped = threading.Event()
        try:
            while True:
                # The pauses are in the thread too, so that the event loop of an idle server sleeps.
                switches, candidates = await asyncio.to_thread(self._wait, stopped)
                async with self._lock:
                    if switches == self._switches:
                        await self._switch_to(candidates)
        finally:
            stopped.set()

    async def load(self, name: str, version: str | None = None) -> dict[str, Any]:
        """Serve a version from now on and pin it; the latest on disk, unpinned, if None.

        Returns the body of the response. Raises NotFound, Refused when the version cannot be
        served, and Busy while the queue is away: nothing changes then.
        """
        begin = time.monotonic()
        async with self._lock:
            versions = await asyncio.to_thread(self._versions, name)
            requested = versions[-1] if version is None else version
            try:
                model = await self._prepared(name, requested)
            except ArtefactError as error:
                raise Refused(str(error)) from error
            pin = None if requested == versions[-1] else Pin(version=requested, newest=versions[-1])
            kept = await asyncio.to_thread(self._scanner.save, name, pin)
            previous = self._switch(model, pin, begin)
        return {
            "name": name,
            "version": requested,
            "previous": previous,
            "kept": kept,
            "seconds": round(time.monotonic() - begin, 3),
        }

    async def unload(self, name: str) -> dict[str, Any]:
        """Serve a model no more, until one of its versions is loaded; open streams keep theirs.

        Returns the body of the response. Raises NotFound.
        """
        async with self._lock:
            versions = await asyncio.to_thread(self._versions, name)
            previous = self._registry.served.get(name)
            # Without one it is unloaded, or its first version is about to be found.
            pin = Pin(version=previous or versions[-1], newest=versions[-1], unloaded=True)
            kept = await asyncio.to_thread(self._scanner.save, name, pin)
            self._unload(name, pin)
        return {"name": name, "previous": previous, "kept": kept}

    def _unload(self, name: str, pin: Pin) -> None:
        self._switches += 1
        if name in self._registry.served:
            self._registry.remove(name)
            log("model unloaded", model=name, version=pin.version)

    def _wait(self, stopped: threading.Event) -> tuple[int, list[Candidate]]:
        """Scan until there are candidates; return them, and the switches made before the scan."""
        while not stopped.wait(SCAN_S):
            switches = self._switches
            try:
                self._registry.expire_unused()
                candidates = self._scanner.scan(self._registry.served)
            except Exception as error:  # noqa: BLE001 - an unmounted disk may come back
                self._log_failure(f"{type(error).__name__}: {error}")
                continue
            if candidates:
                return switches, candidates
            self._log_failure("")
        return self._switches, []

    async def _switch_to(self, candidates: list[Candidate]) -> None:
        try:
            await self._switch_to_best(candidates)
        except Exception as error:  # noqa: BLE001 - the next scan finds them again
            self._log_failure(f"{type(error).__name__}: {error}")
        else:
            self._log_failure("")

    async def _switch_to_best(self, candidates: list[Candidate]) -> None:
        done = set()
        for candidate in candidates:
            name, version, pin = candidate
            begin = time.monotonic()
            if pin is not None and pin.unloaded:
                self._unload(name, pin)
                continue
            if name not in done:
                # The scanner has logged the reason; the next candidate may do.
                with suppress(ArtefactError, NotFound):
                    self._switch(await self._prepared(name, version), pin, begin)
                    done.add(name)

    async def _prepared(self, name: str, version: str) -> Model:
        """Return a version that all can serve at once. Raises NotFound, ArtefactError."""
        model = await asyncio.to_thread(self._load, name, version)
        try:
            await self._prepare(name, version)
        except ArtefactError as error:
            self._scanner.reject(name, version, str(error), ())
            raise
        return model

    def _load(self, name: str, version: str) -> Model:
        model = self._scanner.load(name, version)
        self._registry.warm(model)
        return model

    def _switch(self, model: Model, pin: Pin | None, begin: float) -> str | None:
        self._switches += 1
        previous = self._registry.switch(model)
        self._scanner.switched(model, pin)
        if previous != model.version:
            seconds = time.monotonic() - begin
            log(
                "version switched",
                model=model.name,
                version=model.version,
                previous=previous or "-",
                seconds=seconds,
            )
        return previous

    def _versions(self, name: str) -> list[str]:
        if not self._scanner.allows(name):
            raise NotFound(f"no model {name!r:.80}; there is {', '.join(self._registry.names)}")
        return self._scanner.versions(name)

    def _log_failure(self, failure: str) -> None:
        if failure != self._failure:
            log(
                "artefact scan failed" if failure else "artefact scan recovered", why=failure or "-"
            )
        self._failure = failure


async def open_queue(queue: JobQueue, updater: VersionUpdater) -> None:
    """Return once the queue accepts jobs, and what its workers have is served."""
    while True:
        await queue.open()
        try:
            return await updater.settle()
        except Busy:  # it went away meanwhile, and nobody knows what the workers have
            await asyncio.sleep(RETRY_S)
