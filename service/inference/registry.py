"""The models a server serves: loaded and warmed, looked up, switched, described."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from common.errors import Busy, Late, NotFound
from models.events import complete
from models.manifest import EVENT_SETTINGS
from models.recent import RecentModels
from models.store import Model, Store
from service.inference.version_scanner import VersionScanner

Description = dict[str, Any]
THREADS = 4
"""That load versions which are asked for by number."""


class ModelRegistry:
    """Current versions are ready from the start; others are loaded at their first use."""

    def __init__(
        self,
        store: Store,
        scanner: VersionScanner,
        *,
        patience_s: float = 30.0,
        changed: Callable[[list[Model]], None] = lambda _: None,
    ) -> None:
        """scanner: finds the versions to begin with. patience_s: of `get`.

        changed: gets the current versions whenever one has been switched, in the event loop.
        """
        self._patience_s = patience_s
        self._changed = changed
        self._store = store
        self._scanner = scanner
        self._current: dict[str, Model] = {}
        self.loaded = False
        """Whether `load` has ended; models may have been unloaded since."""
        self._recent = RecentModels(store)
        # Not those of asyncio: a version that waits for a device would take one for each request,
        # and nothing else that needs a thread would go on.
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="version")
        self._loading: dict[tuple[str, str], asyncio.Future[Model]] = {}

    @property
    def loading(self) -> str:
        """Why no model is served yet."""
        long = f": {self._store.loading}" if self._store.loading else ""
        return f"the models are still being loaded{long}"

    @property
    def names(self) -> list[str]:
        """Names of the models served, sorted; empty until loaded."""
        return list(self._current)

    def known(self) -> list[str]:
        """Return the names of the models that are served or could be, sorted; reads the disk."""
        found = filter(self._scanner.allows, self._store.names())
        return sorted({*found, *self._current})

    @property
    def models(self) -> list[Model]:
        """The current version of each, in the order of their names."""
        return list(self._current.values())

    @property
    def served(self) -> dict[str, str]:
        """The current version by name."""
        return {name: model.version for name, model in self._current.items()}

    def load(self) -> list[Model]:
        """Load and warm every model; takes seconds. Raises ArtefactError, also when there is none.

        If the newest version is rejected, the newest valid one is served.
        """
        current = {name: self._scanner.first(name) for name in self._scanner.names()}
        for kind, config in {(model.input, model.config) for model in current.values()}:
            kind.warm(config)
        self._current = current
        self.loaded = True
        return self.models

    def find(self, name: str, version: str | None = None) -> Model:
        """Return a model, loaded if needed.

        Raises NotFound, naming what there is; Busy until the models are loaded.
        """
        if not self.loaded:
            raise Busy(self.loading)
        if name not in self._current:
            raise NotFound(f"no model {name!r:.80}; there is {', '.join(self.names) or 'none'}")
        current = self._current[name]
        return (
            current
            if version is None or version == current.version
            else self._recent.find(name, version)
        )

    async def get(self, name: str, version: str | None = None) -> Model:
        """Return a model without blocking the event loop.

        Raises NotFound, naming what there is; ArtefactError; Late when it is not loaded in time.
        """
        current = self.find(name)
        if version is None or version == current.version:
            return current
        if kept := self._recent.kept(name, version):
            return kept
        try:
            async with asyncio.timeout(self._patience_s):
                return await asyncio.shield(self._load(name, version))
        except TimeoutError:
            raise Late(
                f"version {version!r:.80} was not loaded within {self._patience_s:g} s"
            ) from None

    def _load(self, name: str, version: str) -> asyncio.Future[Model]:
        """Return what loads a version, once for all who ask for it at one time."""
        key = name, version
        if (loading := self._loading.get(key)) is None:
            loop = asyncio.get_running_loop()
            loading = loop.run_in_executor(self._threads, self.find, name, version)
            self._loading[key] = loading
            loading.add_done_callback(lambda done: self._loaded(key, done))
        return loading

    def _loaded(self, key: tuple[str, str], done: asyncio.Future[Model]) -> None:
        self._loading.pop(key)
        # Those who asked may have left: asyncio would log its error as one that nobody has seen.
        _ = done.cancelled() or done.exception()

    async def follow(self, name: str, version: str | None = None) -> VersionFollower:
        """Follow a model, or keep one version of it. Raises NotFound, ArtefactError."""
        return VersionFollower(self, await self.get(name, version), pinned=version is not None)

    def warm(self, model: Model) -> None:
        """Prepare the code that computes the inputs of a model, if no current one has the same."""
        if all((model.input, model.config) != (other.input, other.config) for other in self.models):
            model.input.warm(model.config)

    def switch(self, model: Model) -> str | None:
        """Make a version the current one; return the previous one."""
        before = self._current.get(model.name)
        # Replaced, not changed: others may be iterating over it.
        self._current = dict(sorted({**self._current, model.name: model}.items()))
        self._changed(self.models)
        return before.version if before else None

    def remove(self, name: str) -> None:
        """Serve a model no more; streams that follow it keep the version they have."""
        self._current = {key: model for key, model in self._current.items() if key != name}
        self._changed(self.models)

    def expire_unused(self) -> None:
        """Drop the versions that no request has named recently."""
        self._recent.expire()

    def describe(self, name: str) -> Description:
        """Return what clients may know about a model. Raises NotFound, naming what there is."""
        model = self.find(name)
        manifest = model.manifest
        return {
            "name": model.name,
            "version": model.version,
            "versions": self.versions(name),
            "refused": self.rejected(name),
            "task": manifest.task,
            "labels": [
                {"name": label.name, "threshold": label.threshold}
                | ({"links": label.links} if label.links else {})
                for label in manifest.labels
            ],
            **({"events": _events(model)} if model.input.medium == "sound" else {}),
            "input": _input(model),
            "provider": model.session.provider,
            "provider_refused": model.session.refused,
            "metrics": manifest.metrics,
            "provenance": manifest.provenance,
            "created": manifest.created,
        }

    def versions(self, name: str) -> list[str]:
        """Return the versions on disk, and the current one, which may have been removed from it.

        Oldest first; of a model without any, none.
        """
        current = [self._current[name].version] if name in self._current else []
        return sorted({*self._store.listing().get(name, []), *current}, key=int)

    def rejected(self, name: str) -> dict[str, str]:
        """Return the versions that cannot be served, and why."""
        return self._scanner.rejected(name)

    async def report(self, name: str, version: str | None = None) -> str:
        """Return the report of a version of a model that is served. Raises NotFound."""
        current = self.find(name).version
        asked = current if version is None else version
        return await asyncio.to_thread(self._store.report, name, asked)


class VersionFollower:
    """The version that answers a stream: the current one, while its labels and input are the same.

    Holds one model, so that the previous one can be freed.
    """

    def __init__(self, registry: ModelRegistry, model: Model, *, pinned: bool) -> None:
        """pinned: the version was requested by its number."""
        self._registry = registry
        self._pinned = pinned
        self._incompatible = ""
        self.model = model

    def follow(self) -> str:
        """Switch to the current version, between two windows.

        Returns a sentence for the client when that is impossible, once for each version.
        """
        if self._pinned:
            return ""
        if self.model.name not in self._registry.served:
            return self._once(
                "unloaded",
                f"the model is unloaded; version {self.model.version} keeps answering this stream",
            )
        current = self._registry.find(self.model.name)
        if current.version in (self.model.version, self._incompatible):
            return ""
        differs = current.unlike(self.model)
        if not differs:
            self.model = current
            return ""
        return self._once(
            current.version,
            f"version {current.version} is served now, but its {differs} differs from that of"
            f" version {self.model.version}, which keeps answering this stream;"
            " open a new stream for the new version",
        )

    def _once(self, why: str, sentence: str) -> str:
        """Return a sentence, the first time that it is told."""
        if self._incompatible == why:
            return ""
        self._incompatible = why
        return sentence


def _events(model: Model) -> Description:
    settings = {label.name: complete(label, {}) for label in model.manifest.labels}
    return {name: {key: found[key] for key in EVENT_SETTINGS} for name, found in settings.items()}


def _input(model: Model) -> Description:
    spec = model.manifest.input
    return {
        "kind": spec.kind,
        "dtype": spec.dtype,
        "shape": list(spec.shape),
        **model.input.describe(model.config),
        "fingerprint": spec.fingerprint,
    }
