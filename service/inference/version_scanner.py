"""Sees new versions below the artefacts folder, and remembers which were refused and why."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from common.errors import ArtefactError
from models.pin import FILE, Pin, update_candidates
from models.store import Model, Signature, Store
from service.log import log


class Candidate(NamedTuple):
    """A version that should be served in the place of what is."""

    name: str
    version: str
    choice: Pin | None
    """The one made for its model, as it stood then."""


class VersionScanner:
    """Looks at folders when told to, never on its own. One call at a time; takes the time that the disk takes."""

    def __init__(self, store: Store, *, offers: Callable[[str], bool]) -> None:
        """offers: whether a model of this name may be served."""
        self._store = store
        self._offers = offers
        self._choices: dict[str, Pin | None] = {}
        """As they stood when the versions served now were taken."""
        self._refused: dict[tuple[str, str], tuple[Signature, str]] = {}
        self._seen: dict[tuple[str, str], Signature] = {}

    def begin(self, name: str) -> Model:
        """Return the version to begin with: the newest that is whole, or the one chosen. Raises ArtefactError."""
        self._choices[name] = self._choice(name, None)
        model, refused = self._store.first(name)
        for version, why in refused.items():
            self.refuse(name, version, why)
        return model

    def look(self, served: Mapping[str, str]) -> list[Candidate]:
        """Return what should be served in the place of what is, the best of a name first.

        A version that was refused is left out until its files change, and one that is new until
        they lie still between two calls: it may be a copy that is not finished. Raises OSError.
        """
        found = []
        for name in filter(self._offers, self._store.names()):
            versions, current = self._store.versions(name), served.get(name, "0")
            choice = self._choice(name, self._choices.get(name))
            changed = name not in served or choice != self._choices.get(name, choice)
            line = update_candidates(versions, choice, current=current, pin_changed=changed)
            if not line:
                self._choices[name] = choice
            self._forget(name, versions)
            found += [
                Candidate(name, version, choice) for version in line if self._rests(name, version)
            ]
        return found

    def read(self, name: str, version: str) -> Model:
        """Return a version, checked and warmed. Raises NotFound, or ArtefactError when it is refused."""
        signature = self._store.signature(name, version)
        try:
            return self._store.load(name, version)
        except ArtefactError as error:
            self.refuse(name, version, str(error), signature)
            raise

    def refuse(self, name: str, version: str, why: str, signature: Signature | None = None) -> None:
        """Remember why a version is not taken; say it once for each change.

        signature: of the files that were refused; an empty one lets the version be tried again at
        the next look.
        """
        signature = self._store.signature(name, version) if signature is None else signature
        if self._refused.get((name, version)) != (signature, why):
            log("version refused", model=name, version=version, why=why)
        self._refused[name, version] = (signature, why)

    def taken(self, model: Model, choice: Pin | None) -> None:
        """Remember what is served from now on, and that it was chosen so."""
        self._choices[model.name] = choice
        self._refused.pop((model.name, model.version), None)

    def refused(self, name: str) -> dict[str, str]:
        """Return the versions of a model that are refused as they are, and why."""
        return {
            version: why for (of, version), (_, why) in self._refused.copy().items() if of == name
        }

    def _choice(self, name: str, otherwise: Pin | None) -> Pin | None:
        try:
            choice = self._store.pin(name)
        except ArtefactError as error:
            self.refuse(name, FILE, str(error), ())
            return otherwise
        self._refused.pop((name, FILE), None)
        return choice

    def _rests(self, name: str, version: str) -> bool:
        """Return whether a version was seen before as it is now, and not refused so."""
        key, signature = (name, version), self._store.signature(name, version)
        before, self._seen[key] = self._seen.get(key), signature
        return before == signature and self._refused.get(key, ((), ""))[0] != signature

    def _forget(self, name: str, versions: list[str]) -> None:
        """Forget what is not there any more."""
        for known in (self._refused, self._seen):
            for key in [key for key in known if key[0] == name and key[1] not in {*versions, FILE}]:
                known.pop(key, None)
