"""Finds new versions in the artefacts folder, and remembers which were rejected and why."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NamedTuple

from common.errors import ArtefactError
from models.pin import FILE, Pin, update_candidates
from models.store import FolderState, Model, Signature, Store
from service.log import log


def log_rejected(name: str, version: str, why: str) -> None:
    """Log that a version cannot be served, and why."""
    log("version rejected", model=name, version=version, why=why)


class Candidate(NamedTuple):
    """A version to serve instead of the current one."""

    name: str
    version: str
    pin: Pin | None
    """Of its model, as read by the scan."""


FULL_EVERY = 10
"""Scans of which one reads everything: a file that is written in place changes no folder."""
FRESH_NS = 2_000_000_000
"""Nanoseconds after its last change in which a folder may change again with the same time."""


class VersionScanner:
    """Reads the folder when called, and takes the time that the disk takes. One scan at a time."""

    def __init__(self, store: Store, *, models: tuple[str, ...] = ()) -> None:
        """models: names that may be served; empty: all."""
        self._store = store
        self._models = models
        self._pins: dict[str, Pin | None] = {}
        """As read when the versions served now became current."""
        self._unsaved: dict[str, tuple[Pin | None, Pin | None]] = {}
        """Pins that could not be written, each with the one on disk, until that is another."""
        self._rejected: dict[tuple[str, str], tuple[Signature, str]] = {}
        self._seen: dict[tuple[str, str], Signature] = {}
        self._quiet: tuple[FolderState, dict[str, str]] | None = None
        """The folders and the versions served at a scan with nothing left to do."""
        self._skipped = 0

    def names(self) -> list[str]:
        """Return the models to serve, sorted. Raises ArtefactError when one is missing, or all."""
        names = self._store.names()
        missing = set(self._models).difference(names)
        if missing or not names:
            there = f"; there is {', '.join(names)}" if names else ""
            what = ", ".join(sorted(missing)) or "any model"
            raise ArtefactError(f"no artefact of {what} in {self._store.path}{there}")
        return [name for name in names if self.allows(name) and not self._is_unloaded(name)]

    def allows(self, name: str) -> bool:
        """Return whether a model of this name may be served."""
        return not self._models or name in self._models

    def versions(self, name: str) -> list[str]:
        """Return the versions on disk, oldest first. Raises NotFound."""
        return self._store.versions(name)

    def pinned(self, name: str) -> str:
        """Return the version that is pinned, as of the last switch; empty without one."""
        pin = self._pins.get(name)
        return pin.version if pin else ""

    def first(self, name: str) -> Model:
        """Return the newest valid version, or the pinned one, checked. Raises ArtefactError."""
        self._pins[name] = self._pin(name, None)
        model, rejected = self._store.first(name)
        for version, why in rejected.items():
            self.reject(name, version, why)
        return model

    def scan(self, served: Mapping[str, str]) -> list[Candidate]:
        """Return the versions to serve instead of those served now, best first. Raises OSError.

        A rejected version is left out until its files change; a new one until they are the same in
        two scans, as the copy may be unfinished. served: version by model.
        """
        now = (self._store.folder_state(), dict(served))
        if now == self._quiet and self._skipped < FULL_EVERY - 1:
            self._skipped += 1
            return []
        self._skipped = 0
        waiting, loadable = False, []
        for name, versions in self._store.listing().items():
            if self.allows(name):
                newer = self._newer(name, versions, served)
                waiting = waiting or bool(newer)
                loadable += [each for each in newer if self._is_due(each, served)]
        fresh = time.time_ns() - now[0].changed_ns < FRESH_NS
        self._quiet = None if waiting or fresh or self._rejected else now
        return loadable

    def _newer(self, name: str, versions: list[str], served: Mapping[str, str]) -> list[Candidate]:
        """Return what is to be served instead, once it can be: best first."""
        known = self._pins.get(name)
        pin = self._pin(name, known)
        if pin is not None and pin.unloaded:
            return [Candidate(name, served[name], pin)] if name in served else []
        changed = name not in served or pin != known
        newer = update_candidates(versions, pin, current=served.get(name, "0"), pin_changed=changed)
        if not newer:
            self._pins[name] = pin
        self._forget(name, versions)
        return [Candidate(name, version, pin) for version in newer]

    def _is_due(self, candidate: Candidate, served: Mapping[str, str]) -> bool:
        name, version, pin = candidate
        unloads = pin is not None and pin.unloaded and served.get(name) == version
        return unloads or self._is_loadable(name, version)

    def load(self, name: str, version: str) -> Model:
        """Return a version, checked and warmed. Raises NotFound; ArtefactError when rejected."""
        signature = self._store.signature(name, version)
        try:
            return self._store.load(name, version)
        except ArtefactError as error:
            self.reject(name, version, str(error), signature)
            raise

    def reject(self, name: str, version: str, why: str, signature: Signature | None = None) -> None:
        """Remember why a version cannot be served; log it once for each change.

        signature: of the rejected files; with an empty one, the next scan tries the version again.
        """
        signature = self._store.signature(name, version) if signature is None else signature
        if self._rejected.get((name, version)) != (signature, why):
            log_rejected(name, version, why)
        self._rejected[name, version] = (signature, why)

    def switched(self, model: Model, pin: Pin | None) -> None:
        """Remember which version is current now, and the pin that it became current by."""
        self._pins[model.name] = pin
        self._rejected.pop((model.name, model.version), None)

    def save(self, name: str, pin: Pin | None) -> bool:
        """Write a pin for other processes and the next start; return whether that worked.

        If not, it holds for this one.
        """
        self._unsaved.pop(name, None)
        try:
            self._store.set_pin(name, pin)
        except OSError as error:
            log("pin not saved", model=name, why=error.strerror)
            self._unsaved[name] = pin, self._pin(name, self._pins.get(name))
            return False
        return True

    def rejected(self, name: str) -> dict[str, str]:
        """Return the rejected versions of a model, and why. Safe to call from any thread."""
        return {
            version: why for (of, version), (_, why) in self._rejected.copy().items() if of == name
        }

    def _is_unloaded(self, name: str) -> bool:
        pin = self._pin(name, None)
        return pin is not None and pin.unloaded

    def _pin(self, name: str, default: Pin | None) -> Pin | None:
        try:
            pin = self._store.pin(name)
        except ArtefactError as error:
            self.reject(name, FILE, str(error), ())
            return default
        self._rejected.pop((name, FILE), None)
        unsaved, on_disk = self._unsaved.get(name, (pin, pin))
        if pin == on_disk:
            return unsaved
        self._unsaved.pop(name, None)
        return pin

    def _is_loadable(self, name: str, version: str) -> bool:
        """Return whether a version's files are those of the scan before, and not rejected."""
        key, signature = (name, version), self._store.signature(name, version)
        before, self._seen[key] = self._seen.get(key), signature
        return before == signature and self._rejected.get(key, ((), ""))[0] != signature

    def _forget(self, name: str, versions: list[str]) -> None:
        """Forget removed versions."""
        kept = {*versions, FILE}
        for known in (self._rejected, self._seen):
            # A copy: the event loop's thread may add to it meanwhile.
            for key in list(known):
                if key[0] == name and key[1] not in kept:
                    known.pop(key, None)
