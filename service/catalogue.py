"""The models a server offers: found in the store, loaded and warmed, described."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from features.config import AudioConfig, Kind
from features.errors import ArtefactError, NotFound
from models.store import Model, Store
from service.memory import give_back

Description = dict[str, Any]


class Catalogue:
    """The latest version of every model offered is ready from the start, older ones from their first use."""

    def __init__(self, store: Store, *, names: tuple[str, ...] = ()) -> None:
        self._store = store
        self._wanted = names
        self._latest: dict[str, Model] = {}

    @property
    def names(self) -> list[str]:
        """Names offered, sorted; none until loaded."""
        return list(self._latest)

    def load(self) -> list[Model]:
        """Load and warm everything offered; takes a second. Raises ArtefactError, also when there is nothing."""
        names = self._store.names()
        missing = set(self._wanted).difference(names)
        if missing or not names:
            there = f"; there is {', '.join(names)}" if names else ""
            raise ArtefactError(
                f"no artefact of {', '.join(sorted(missing)) or 'any model'} in {self._store.path}{there}"
            )
        latest = {name: self._store.load(name) for name in names if not self._wanted or name in self._wanted}
        kinds = {(model.kind, model.config) for model in latest.values()}
        for kind, config in kinds:
            _warm(kind, config)
        give_back()
        # Once more: what runs from now on shall be there.
        for kind, config in kinds:
            _warm(kind, config)
        self._latest = latest
        return list(latest.values())

    def find(self, name: str, version: str | None = None) -> Model:
        """Return a model, loading it if need be. Raises NotFound, naming what there is."""
        if name not in self._latest:
            raise NotFound(f"no model {name!r:.80}; there is {', '.join(self.names)}")
        latest = self._latest[name]
        return latest if version in (None, latest.version) else self._store.load(name, version)

    async def get(self, name: str, version: str | None = None) -> Model:
        """Return a model without holding up the loop. Raises NotFound, naming what there is."""
        return self.find(name) if version is None else await asyncio.to_thread(self.find, name, version)

    def describe(self, name: str) -> Description:
        """Return what clients may want to know of a model. Raises NotFound, naming what there is."""
        model = self.find(name)
        manifest, config = model.manifest, model.config
        return {
            "name": model.name,
            "version": model.version,
            "versions": self._store.versions(name),
            "task": manifest.task,
            "labels": [{"name": label.name, "threshold": label.threshold} for label in manifest.labels],
            "input": {
                "kind": model.kind,
                "dtype": manifest.input.dtype,
                "shape": list(manifest.input.shape),
                "sample_rate": config.sample_rate,
                "window": config.window / config.sample_rate,
                "fingerprint": manifest.input.fingerprint,
            },
            "provider": model.session.provider,
            "metrics": manifest.metrics,
            "provenance": manifest.provenance,
            "created": manifest.created,
        }


def _warm(kind: Kind, config: AudioConfig) -> None:
    """Compute one window both ways, so that kernels are compiled and tables built before the first client."""
    from features.extract import extract_many
    from features.resample import resample
    from features.streaming import StreamingExtractor

    sound = np.sin(np.arange(config.window + config.hop_length, dtype=np.float32))
    extract_many([sound[: config.window]], kind=kind, config=config)
    StreamingExtractor(config, hop=config.hop_length, kind=kind).feed(resample(sound, 48_000, 44_100))
    StreamingExtractor(config, hop=config.hop_length, kind=kind).feed(sound)
