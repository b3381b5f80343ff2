"""The models a server serves: loaded and warmed, looked up, switched, described."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import numpy as np

from common.errors import NotFound
from common.memory import return_large_blocks
from features.config import PictureConfig
from models.manifest import Config, InputKind
from models.recent import RecentModels
from models.store import Model, Store
from service.inference.version_scanner import VersionScanner

Description = dict[str, Any]


class ModelRegistry:
    """Current versions are ready from the start; others are loaded at their first use."""

    def __init__(self, store: Store, scanner: VersionScanner) -> None:
        """scanner: finds the versions to begin with."""
        self._store = store
        self._scanner = scanner
        self._current: dict[str, Model] = {}
        self._recent = RecentModels(store)

    @property
    def names(self) -> list[str]:
        """Names of the models served, sorted; empty until loaded."""
        return list(self._current)

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

        If the newest version is refused, the newest valid one is served.
        """
        current = {name: self._scanner.first(name) for name in self._scanner.names()}
        for kind, config in {(model.kind, model.config) for model in current.values()}:
            _warm(kind, config)
        self._current = current
        return self.models

    def find(self, name: str, version: str | None = None) -> Model:
        """Return a model, loading it if need be. Raises NotFound, naming what there is."""
        if name not in self._current:
            raise NotFound(f"no model {name!r:.80}; there is {', '.join(self.names)}")
        current = self._current[name]
        return (
            current
            if version is None or version == current.version
            else self._recent.find(name, version)
        )

    async def get(self, name: str, version: str | None = None) -> Model:
        """Return a model without blocking the event loop. Raises NotFound, naming what there is."""
        return (
            self.find(name)
            if version is None
            else await asyncio.to_thread(self.find, name, version)
        )

    def warm(self, model: Model) -> None:
        """Prepare the code that computes the inputs of a model, if no current one has the same."""
        if all((model.kind, model.config) != (other.kind, other.config) for other in self.models):
            _warm(model.kind, model.config)

    def switch(self, model: Model) -> str | None:
        """Make a version the current one; return the previous one."""
        before = self._current.get(model.name)
        # A new, sorted one: others may be iterating over the old one.
        self._current = dict(sorted({**self._current, model.name: model}.items()))
        return before.version if before else None

    def expire_unused(self) -> None:
        """Drop the versions that no request has named of late."""
        self._recent.expire()

    def describe(self, name: str) -> Description:
        """Return what clients may know about a model. Raises NotFound, naming what there is."""
        model = self.find(name)
        manifest = model.manifest
        return {
            "name": model.name,
            "version": model.version,
            "versions": self._versions(model),
            "refused": self._scanner.refused(name),
            "task": manifest.task,
            "labels": [
                {"name": label.name, "threshold": label.threshold} for label in manifest.labels
            ],
            "input": _input(model),
            "provider": model.session.provider,
            "metrics": manifest.metrics,
            "provenance": manifest.provenance,
            "created": manifest.created,
        }

    def _versions(self, model: Model) -> list[str]:
        """Return the versions on disk, and the current one, which may have been removed from it."""
        return sorted({*self._store.listing().get(model.name, []), model.version}, key=int)


def _input(model: Model) -> Description:
    spec, config = model.manifest.input, model.config
    if isinstance(config, PictureConfig):
        how: Description = asdict(config)
    else:
        how = {"sample_rate": config.sample_rate, "window": config.window / config.sample_rate}
    return {
        "kind": spec.kind,
        "dtype": spec.dtype,
        "shape": list(spec.shape),
        **how,
        "fingerprint": spec.fingerprint,
    }


def _warm(kind: InputKind, config: Config) -> None:
    """Compute one window both ways: compiles kernels and builds tables before the first request."""
    if kind == "picture" or isinstance(config, PictureConfig):
        # Loads the decoder.
        import features.picture  # noqa: F401

        return_large_blocks()
        return
    from features.extract import extract_many
    from features.resample import resample
    from features.streaming import StreamingExtractor

    sound = np.sin(np.arange(config.window + config.hop_length, dtype=np.float32))
    extract_many([sound[: config.window]], kind=kind, config=config)
    StreamingExtractor(config, hop=config.hop_length, kind=kind).feed(
        resample(sound, 48_000, 44_100)
    )
    StreamingExtractor(config, hop=config.hop_length, kind=kind).feed(sound)
