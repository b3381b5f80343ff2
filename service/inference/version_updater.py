"""A new version takes the place of the one that is served, once it is checked, warm and known to all workers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from common.errors import ArtefactError, NotFound, Refused
from models.pin import Pin
from models.store import Model, Store
from service.inference.registry import ModelRegistry
from service.log import log

WATCH_S = 1.0
"""How often the artefacts folder is looked at."""


class VersionUpdater:
    """Keeps a catalogue at the versions that should be served."""

    def __init__(
        self,
        catalogue: ModelRegistry,
        store: Store,
        *,
        prepare: Callable[[str, str], Awaitable[None]],
    ) -> None:
        """prepare: returns when whoever runs the models has this one as well; raises ArtefactError if that fails."""
        self._catalogue = catalogue
        self._store = store
        self._prepare = prepare
        # What is asked for and what is found must not overtake each other.
        self._turn = asyncio.Lock()
        self._trouble = ""

    async def watch(self) -> None:
        """Take what appears on disk, until cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            async with self._turn:
                try:
                    await self._look()
                    self._note("")
                except Exception as error:  # noqa: BLE001 - a disk that is away for a while may come back
                    self._note(f"{type(error).__name__}: {error}")

    async def load(self, name: str, version: str | None = None) -> dict[str, Any]:
        """Serve this version from now on, by default the latest on disk, and keep the choice; return what was done.

        Raises NotFound, and Refused when the version is not fit to be served: then all stays as it
        was.
        """
        begin = time.monotonic()
        async with self._turn:
            versions = await asyncio.to_thread(self._versions, name)
            wanted = versions[-1] if version is None else version
            try:
                model = await self._ready(name, wanted)
            except ArtefactError as error:
                raise Refused(str(error)) from error
            choice = None if wanted == versions[-1] else Pin(version=wanted, newest=versions[-1])
            kept = await asyncio.to_thread(self._keep, name, choice)
            previous = self._take(model, choice, begin)
        seconds = round(time.monotonic() - begin, 3)
        return {
            "name": name,
            "version": wanted,
            "previous": previous,
            "kept": kept,
            "seconds": seconds,
        }

    async def _look(self) -> None:
        done = set()
        for name, version, choice in await asyncio.to_thread(self._catalogue.look):
            begin = time.monotonic()
            if name not in done:
                # Why not is remembered already.
                with suppress(ArtefactError, NotFound):
                    self._take(await self._ready(name, version), choice, begin)
                    done.add(name)

    async def _ready(self, name: str, version: str) -> Model:
        """Return a version that may take over at once. Raises NotFound, ArtefactError."""
        model = await asyncio.to_thread(self._catalogue.read, name, version)
        try:
            await self._prepare(name, version)
        except ArtefactError as error:
            self._catalogue.scanner.refuse(name, version, str(error), ())
            raise
        return model

    def _take(self, model: Model, choice: Pin | None, begin: float) -> str | None:
        previous = self._catalogue.take(model)
        self._catalogue.scanner.taken(model, choice)
        if previous != model.version:
            seconds = time.monotonic() - begin
            log(
                "model taken",
                model=model.name,
                version=model.version,
                previous=previous or "-",
                seconds=seconds,
            )
        return previous

    def _versions(self, name: str) -> list[str]:
        if not self._catalogue.offers(name):
            raise NotFound(f"no model {name!r:.80}; there is {', '.join(self._catalogue.names)}")
        return self._store.versions(name)

    def _keep(self, name: str, choice: Pin | None) -> bool:
        try:
            self._store.set_pin(name, choice)
        except OSError as error:
            log("choice not kept", model=name, why=error.strerror)
            return False
        return True

    def _note(self, trouble: str) -> None:
        if trouble != self._trouble:
            log(
                "artefacts cannot be looked at" if trouble else "artefacts are looked at",
                why=trouble or "-",
            )
        self._trouble = trouble
