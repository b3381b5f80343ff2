"""Models a worker holds: requested versions, loaded in the background, and a few recent ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

from common.errors import ArtefactError, TimbreError
from models.recent import RecentModels
from models.store import Model, Signature, Store
from service.inference.version_scanner import log_rejected
from service.log import log


class WorkerModels:
    """Loads requested versions in a thread, one at a time; unloads those not requested any more."""

    def __init__(
        self, store: Store, *, changed: Callable[[Iterable[Model]], None] = lambda _: None
    ) -> None:
        """changed: gets the loaded versions when they are others than before."""
        self._store = store
        self._changed = changed
        self._models: dict[str, Model] = {}
        self._recent = RecentModels(store)
        self._rejected: dict[str, tuple[Signature, str]] = {}
        self._loading: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> list[str]:
        """Versions loaded at start or on request, as NAME:VERSION."""
        return list(self._models)

    def load(self, names: Collection[str]) -> None:
        """Load the newest usable version of these models, by default of all.

        Raises ArtefactError, NotFound.
        """
        for name in names or self._store.names():
            model, rejected = self._store.first(name)
            for version, why in rejected.items():
                log_rejected(name, version, why)
            self._models[f"{name}:{model.version}"] = model
        if not self._models:
            raise ArtefactError(f"no artefact of any model in {self._store.path}")

    def show(self) -> None:
        """Tell `changed` which versions are loaded."""
        self._changed(self._models.values())

    def find(self, name: str, version: str) -> Model:
        """Return a model, loaded now unless it was. Raises NotFound, ArtefactError. Thread-safe."""
        return self._models.get(f"{name}:{version}") or self._recent.find(name, version)

    def request(self, names: set[str]) -> None:
        """Hold these versions only; without any, keep those that are loaded."""
        self._recent.expire()
        if names and not names >= self._models.keys():
            self._models = {name: model for name, model in self._models.items() if name in names}
            self.show()
        if self._loading is None or self._loading.done():
            missing = [name for name in sorted(names) if self._is_missing(name)]
            self._loading = asyncio.create_task(self._load(missing[0])) if missing else None

    async def _load(self, name: str) -> None:
        signature = self._signature(name)
        model_name, version = name.split(":")
        try:
            model = await asyncio.to_thread(self._store.load, model_name, version)
        except TimbreError as error:
            if self._rejected.get(name) != (signature, str(error)):
                log_rejected(model_name, version, str(error))
            self._rejected[name] = (signature, str(error))
        else:
            log("model loaded", model=name)
            self._rejected.pop(name, None)
            self._models = {**self._models, name: model}
            self.show()

    def _is_missing(self, name: str) -> bool:
        """Return whether to load a version: not loaded, nor rejected with the same files."""
        rejected = self._rejected.get(name)
        return name not in self._models and (
            rejected is None or rejected[0] != self._signature(name)
        )

    def _signature(self, name: str) -> Signature:
        return self._store.signature(*name.split(":"))
