"""Model versions requested by number: loaded on request, released when they are no longer used."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock

from models.store import Model, Store

KEEP_S = 60.0
"""Seconds a version is kept after its last request."""
KEPT = 4
"""Versions kept at most; a caller that uses one holds its own reference."""


class RecentModels:
    """An LRU cache of the versions requested last. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, str], tuple[Model, float]] = OrderedDict()
        self._lock = Lock()

    def find(self, name: str, version: str) -> Model:
        """Return a version, loaded if needed. Raises as `Store.load` does."""
        model = self.kept(name, version)
        if model is None:
            model = self._store.load(name, version)
            self.put(model)
        return model

    def kept(self, name: str, version: str) -> Model | None:
        """Return a version if it is kept, from now on again; None if it is to be loaded."""
        if kept := self._kept.get((name, version)):
            self.put(kept[0])
            return kept[0]
        return None

    def put(self, model: Model) -> None:
        """Add a model as the one requested last."""
        with self._lock:
            self._kept[model.name, model.version] = (model, time.monotonic())
            self._kept.move_to_end((model.name, model.version))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def expire(self) -> None:
        """Release the versions that were not requested for KEEP_S seconds."""
        with self._lock:
            while self._kept and next(iter(self._kept.values()))[1] < time.monotonic() - KEEP_S:
                self._kept.popitem(last=False)
