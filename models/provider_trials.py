"""Tries an accelerator in a process of its own, before this one opens a model on it.

A driver may hang or crash the process, and TensorRT builds for minutes: none of it happens to a
server.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import ArtefactError
from common.folders import read_regular
from models.kinds import kind_of
from models.manifest import Manifest
from models.providers import CPU, Providers, engine_folder, one_line
from models.session import listed, runtime
from models.verification import Overdue, verify

if TYPE_CHECKING:
    from models.store import Signature

TENSORRT = "Tensorrt"


@dataclass(frozen=True)
class Plan:
    """What a model is opened on."""

    names: tuple[str, ...]
    """Providers that are left, best first."""
    refused: dict[str, str] = field(default_factory=dict)
    """Why others are not used."""


class ProviderTrials:
    """Tries each version once on each accelerator, until its files change. Thread-safe."""

    def __init__(self, providers: Providers, *, limit_s: float) -> None:
        """limit_s: seconds that a trial may take; TensorRT has those of the providers."""
        self._providers = providers
        self._limit_s = limit_s
        self._plans: dict[Path, tuple[Signature, Plan]] = {}
        self._hung: dict[str, str] = {}
        """Why a provider is not tried with other artefacts: each would take the whole limit."""

    @property
    def longest_s(self) -> float:
        """Seconds that the trials of one version may take, by the wall clock."""
        tried = set(self._providers.names).intersection(listed()) - {CPU}
        return sum(
            self._providers.engine_timeout if name == TENSORRT else self._limit_s for name in tried
        )

    def plan(self, folder: Path, signature: Signature) -> Plan:
        """Return what is left of the providers. signature: of the artefact's files.

        Raises ArtefactError if none is.
        """
        names = self._providers.names
        found = listed()
        if not any(name in found for name in names if name != CPU) or not _accelerated(folder):
            return Plan(names)
        known = self._plans.get(folder)
        if known is None or known[0] != signature:
            known = self._plans[folder] = signature, self._tried(folder, names, found)
        return known[1]

    def _tried(self, folder: Path, names: Sequence[str], found: Sequence[str]) -> Plan:
        refused: dict[str, str] = {}
        left = [name for name in names if name in found]
        stamps = engine_folder(runtime())
        while left and left[0] != CPU:
            if why := self._hung.get(left[0]):
                refused[left.pop(0)] = why
                continue
            stamp = stamps and stamps / f"{_graph_hash(folder)}-{'-'.join(left)}.ok"
            try:
                if not (stamp and stamp.exists()):
                    self._try(folder, left)
            except ArtefactError as error:
                name = left.pop(0)
                refused[name] = one_line(error)
                # An engine that takes too long to build says nothing of other networks.
                if isinstance(error, Overdue) and name != TENSORRT:
                    self._hung[name] = refused[name]
                continue
            # The trial is for crashes and hangs, which come with a board or a driver.
            if stamp:
                with suppress(OSError):
                    stamp.touch()
            break
        if not left:
            raise ArtefactError("; ".join(f"{name}: {why}" for name, why in refused.items()))
        return Plan(tuple(left), refused)

    def _try(self, folder: Path, names: Sequence[str]) -> None:
        """Raise ArtefactError if the version does not run on the first of the providers."""
        if names[0] != TENSORRT:
            verify(folder, limit_s=self._limit_s, providers=names)
            return
        begin = time.monotonic()

        def report() -> None:
            self._providers.report(
                "TensorRT builds an engine",
                model=folder.parent.name,
                version=folder.name,
                seconds=round(time.monotonic() - begin),
            )

        verify(
            folder,
            limit_s=self._providers.engine_timeout,
            providers=names,
            report=report,
        )


def _accelerated(folder: Path) -> bool:
    """Return whether models of this kind are faster on an accelerator; not if it is unreadable."""
    with suppress(ArtefactError, OSError):
        manifest = Manifest.from_json(read_regular(folder / "manifest.json"))
        return kind_of(manifest.input.kind).accelerate
    return False


def _graph_hash(folder: Path) -> str:
    with suppress(OSError):
        return hashlib.sha256(read_regular(folder / "model.onnx")).hexdigest()
    return ""
