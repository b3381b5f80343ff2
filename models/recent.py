"""Models that are not served by default: loaded when asked for, let go when nobody asks any more."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock

from models.store import Model, Store

KEEP_S = 60.0
"""How long a version is kept that nobody asks for."""
KEPT = 4
"""Versions kept at the most; who uses one keeps it alive for himself."""


class RecentModels:
    """The few versions that were asked for last. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._kept: OrderedDict[tuple[str, str], tuple[Model, float]] = OrderedDict()
        self._lock = Lock()

    def find(self, name: str, version: str) -> Model:
        """Return a version, loaded if need be. Raises NotFound and ArtefactError as `Store.load` does."""
        kept = self._kept.get((name, version))
        model = kept[0] if kept else self._store.load(name, version)
        self.put(model)
        return model

    def put(self, model: Model) -> None:
        """Keep a model as if it had been asked for."""
        with self._lock:
            self._kept[model.name, model.version] = (model, time.monotonic())
            self._kept.move_to_end((model.name, model.version))
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)

    def tidy(self) -> None:
        """Let go of what was not asked for of late."""
        with self._lock:
            while self._kept and next(iter(self._kept.values()))[1] < time.monotonic() - KEEP_S:
                self._kept.popitem(last=False)
