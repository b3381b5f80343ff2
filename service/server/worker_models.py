"""The models of a worker: those that gateways want, loaded beside the work, and a few that were asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from common.errors import ArtefactError, TimbreError
from models.recent import RecentModels
from models.store import Model, Signature, Store
from service.log import log


class WorkerModels:
    """Loads what is wanted in a thread of its own, one version at a time; lets go of what is not wanted any more."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, Model] = {}
        self._shelf = RecentModels(store)
        self._refused: dict[str, tuple[Signature, str]] = {}
        self._loading: asyncio.Task[None] | None = None

    @property
    def held(self) -> list[str]:
        """What is loaded because it is wanted, as NAME:VERSION."""
        return list(self._held)

    def begin(self, names: Collection[str]) -> None:
        """Load the newest version that is whole of these models, by default of all. Raises ArtefactError, NotFound."""
        for name in names or self._store.names():
            model, refused = self._store.first(name)
            for version, why in refused.items():
                log("version refused", model=name, version=version, why=why)
            self._held[f"{name}:{model.version}"] = model
        if not self._held:
            raise ArtefactError(f"no artefact of any model in {self._store.path}")

    def find(self, name: str, version: str) -> Model:
        """Return a model, loaded now if it was not. Raises NotFound, ArtefactError. Safe to call in any thread."""
        return self._held.get(f"{name}:{version}") or self._shelf.find(name, version)

    def want(self, names: Collection[str]) -> None:
        """Hold these versions from now on, and no others; where nobody wants anything, all stays."""
        self._shelf.tidy()
        if names:
            self._held = {name: model for name, model in self._held.items() if name in names}
        if self._loading is None or self._loading.done():
            missing = [name for name in sorted(names) if name not in self._held and self._fit(name)]
            self._loading = asyncio.create_task(self._load(missing[0])) if missing else None

    async def _load(self, name: str) -> None:
        signature = self._signature(name)
        try:
            model = await asyncio.to_thread(self._store.load, *name.split(":"))
        except TimbreError as error:
            if self._refused.get(name) != (signature, str(error)):
                log("version refused", model=name, why=error)
            self._refused[name] = (signature, str(error))
        else:
            log("model loaded", model=name)
            self._refused.pop(name, None)
            self._held = {**self._held, name: model}

    def _fit(self, name: str) -> bool:
        return name not in self._refused or self._refused[name][0] != self._signature(name)

    def _signature(self, name: str) -> Signature:
        return self._store.signature(*name.split(":"))
