"""The models a server offers: found in the store, loaded and warmed, replaced, described."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any

import numpy as np

from common.errors import ArtefactError, NotFound
from features.config import PictureConfig
from models.manifest import Config, InputKind
from models.recent import RecentModels
from models.store import Model, Store
from service.inference.memory import give_back, let_go_of_large_blocks
from service.inference.version_scanner import Candidate, VersionScanner

Description = dict[str, Any]


class ModelRegistry:
    """The current version of every model offered is ready from the start, others from their first use."""

    def __init__(self, store: Store, *, names: tuple[str, ...] = ()) -> None:
        self.scanner = VersionScanner(store, offers=self.offers)
        self._store = store
        self._wanted = names
        self._current: dict[str, Model] = {}
        self._recent = RecentModels(store)

    @property
    def names(self) -> list[str]:
        """Names offered, sorted; none until loaded."""
        return list(self._current)

    @property
    def models(self) -> list[Model]:
        """The current version of each, in the order of their names."""
        return list(self._current.values())

    def offers(self, name: str) -> bool:
        """Return whether a model of this name may be served."""
        return not self._wanted or name in self._wanted

    def load(self) -> list[Model]:
        """Load and warm everything offered; takes a second. Raises ArtefactError, also when there is nothing.

        Where the newest version is refused, the newest that is whole is served.
        """
        names = self._store.names()
        missing = set(self._wanted).difference(names)
        if missing or not names:
            there = f"; there is {', '.join(names)}" if names else ""
            raise ArtefactError(
                f"no artefact of {', '.join(sorted(missing)) or 'any model'} in {self._store.path}{there}"
            )
        current = {name: self.scanner.begin(name) for name in names if self.offers(name)}
        kinds = {(model.kind, model.config) for model in current.values()}
        for kind, config in kinds:
            _warm(kind, config)
        give_back()
        # Once more: what runs from now on shall be there.
        for kind, config in kinds:
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
        """Return a model without holding up the loop. Raises NotFound, naming what there is."""
        return (
            self.find(name)
            if version is None
            else await asyncio.to_thread(self.find, name, version)
        )

    def look(self) -> list[Candidate]:
        """Return what should be served in the place of what is; let go of what nobody asks for. Raises OSError."""
        self._recent.expire()
        return self.scanner.look({name: model.version for name, model in self._current.items()})

    def read(self, name: str, version: str) -> Model:
        """Return a version that may take over at once. Raises NotFound, or ArtefactError when it is refused."""
        model = self.scanner.read(name, version)
        if all((model.kind, model.config) != (other.kind, other.config) for other in self.models):
            _warm(model.kind, model.config)
        return model

    def take(self, model: Model) -> str | None:
        """Serve a version from now on; return the one before it."""
        before = self._current.get(model.name)
        # Anew and sorted: others may be walking through it.
        self._current = dict(sorted({**self._current, model.name: model}.items()))
        return before.version if before else None

    def describe(self, name: str) -> Description:
        """Return what clients may want to know of a model. Raises NotFound, naming what there is."""
        model = self.find(name)
        manifest = model.manifest
        return {
            "name": model.name,
            "version": model.version,
            "versions": self._versions(model),
            "refused": self.scanner.refused(name),
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
        """Return the versions on disk, and the one that is served, which may be gone from there."""
        there = self._store.versions(model.name) if model.name in self._store.names() else []
        return sorted({*there, model.version}, key=int)


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
    """Compute one window both ways, so that kernels are compiled and tables built before the first client."""
    if kind == "picture" or isinstance(config, PictureConfig):
        # Loads the decoder.
        import features.picture  # noqa: F401

        let_go_of_large_blocks()
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
