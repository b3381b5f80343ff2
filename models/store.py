"""Artefacts on disk: found by name and version, checked, warmed up, cached."""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from common.atomic import file_signature
from common.errors import ArtefactError, NotFound, UnsupportedMedia
from common.folders import entries, read_regular, status
from features.config import AudioConfig, PictureConfig
from models.golden import run_golden
from models.kinds import InputKind, SoundKind, kind_of
from models.manifest import FILES, NAME, VERSION, Manifest
from models.pin import Pin, load_order, read_pin, write_pin
from models.provider_trials import Plan, ProviderTrials
from models.providers import CPU, Providers
from models.session import Session, listed
from models.verification import LIMIT_S, Verifier, VerifierProcess

if TYPE_CHECKING:
    from features.config import Kind, Tensor
    from models.kinds import Config

DEFAULT_PATH = Path(__file__).parent / "artefacts"
Signature: TypeAlias = tuple[tuple[str, int, int, int], ...]
"""Name, inode, size and time of the files in a folder: equal while they are unchanged."""
Sessions: TypeAlias = weakref.WeakValueDictionary[tuple[str, bool], Session]
"""Graphs that are open, by their sha256 and whether on an accelerator if there is one."""


@dataclass(frozen=True, eq=False)
class Model:
    """A checked and warmed artefact. Thread-safe."""

    manifest: Manifest
    """The manifest of the artefact."""
    config: Config
    """The settings its tensors are made with."""
    thresholds: npt.NDArray[np.float32]
    """Shape (labels,): scores at or above count as present."""
    session: Session
    """The graph, ready to run."""

    @cached_property
    def name(self) -> str:
        """Name of the model."""
        return self.manifest.name

    @property
    def version(self) -> str:
        """An integer, as text."""
        return self.manifest.version

    @property
    def kind(self) -> str:
        """The name of its kind of input, one of models.kinds.KINDS."""
        return self.manifest.input.kind

    @cached_property
    def input(self) -> InputKind[Any]:
        """How files become its tensors."""
        return kind_of(self.kind)

    @property
    def sound(self) -> tuple[AudioConfig, Kind]:
        """Settings, and what is computed from a window. Raises UnsupportedMedia for pictures."""
        if not isinstance(self.config, AudioConfig) or not isinstance(self.input, SoundKind):
            raise UnsupportedMedia(f"model {self.name!r} takes pictures, not sound")
        return self.config, self.input.computed

    @property
    def picture(self) -> PictureConfig:
        """Settings of its pictures. Raises UnsupportedMedia for sound."""
        if not isinstance(self.config, PictureConfig):
            raise UnsupportedMedia(f"model {self.name!r} takes sound, not pictures")
        return self.config

    @cached_property
    def labels(self) -> list[str]:
        """Names in the order of the scores."""
        return [label.name for label in self.manifest.labels]

    def unlike(self, other: Model) -> str:
        """Return what makes another model incompatible for running streams; empty if nothing."""
        ours, theirs = self.manifest, other.manifest
        parts = {
            "labels": self.labels != other.labels,
            "task": ours.task != theirs.task,
            "input": (ours.input.fingerprint, ours.input.shape, ours.input.dtype)
            != (theirs.input.fingerprint, theirs.input.shape, theirs.input.dtype),
        }
        return " and ".join(name for name, differs in parts.items() if differs)

    def predict(self, batch: Tensor) -> npt.NDArray[np.float32]:
        """Return scores (n, labels) of tensors (n, *shape). Raises Unprocessable for others."""
        return self.session.predict(batch)


class FolderState(NamedTuple):
    """The folder of artefacts and those of its models, as `Store.folder_state` finds them."""

    folders: tuple[tuple[int, int, int] | None, ...]
    """Device, inode and time of the last change of each; None for one that is not there."""
    changed_ns: int
    """The last of these times, nanoseconds since 1970."""


class Store:
    """The artefacts below one folder, NAME/VERSION/. Thread-safe."""

    def __init__(
        self,
        path: Path | str = DEFAULT_PATH,
        *,
        load_timeout: float | None = None,
        providers: Providers | None = None,
    ) -> None:
        """path: the folder, which need not exist yet.

        load_timeout: seconds of a processor that a version may take to load; None: no limit. With
        it, `load` first loads the version in a process of its own, `first` loads it in a thread,
        and an accelerator is tried in a process of its own before either.

        providers: where models run, by default the best that runs.
        """
        self.path = Path(path)
        self._verifier = Verifier(load_timeout) if load_timeout else None
        self._providers = providers or Providers()
        self._trials = ProviderTrials(self._providers, limit_s=load_timeout or 0.0)
        # A model is released when its last user drops it.
        self._loaded = weakref.WeakValueDictionary[tuple[str, str], Model]()
        # Two names of one network share its memory.
        self._sessions: Sessions = weakref.WeakValueDictionary()
        self._locks: dict[tuple[str, str], threading.Lock] = defaultdict(threading.Lock)
        self._listed: list[str] = []
        self.loading = ""
        """Which version `first` loads, and for how long once that is long; empty otherwise."""

    def names(self) -> list[str]:
        """Return the names that have at least one version, sorted."""
        return list(self.listing())

    def folder_state(self) -> FolderState:
        """Return what changes with the folder, and with those of the models listed last.

        So it does when a model, a version or a pin comes, goes or is replaced, at far less cost
        than by `listing`. Raises OSError.
        """
        stats = [status(str(self.path)), *(status(f"{self.path}/{name}") for name in self._listed)]
        found = [stat for stat in stats if stat]
        return FolderState(
            tuple(stat and (stat.st_dev, stat.st_ino, stat.st_mtime_ns) for stat in stats),
            changed_ns=max((stat.st_mtime_ns for stat in found), default=0),
        )

    def listing(self) -> dict[str, list[str]]:
        """Return the versions of each model that has one, oldest first, by name in their order."""
        names = self._listed = sorted(filter(NAME.fullmatch, entries(str(self.path))))
        listed = {name: self._versions(name) for name in names}
        return {name: versions for name, versions in listed.items() if versions}

    def versions(self, name: str) -> list[str]:
        """Return the versions of a model, oldest first. Raises NotFound, naming the models."""
        versions = self._versions(name) if NAME.fullmatch(name) else []
        if not versions:
            raise NotFound(f"no model {name!r}; there is {_listing(self.names())}")
        return versions

    def load(self, name: str, version: str | None = None) -> Model:
        """Return a checked and warmed model, by default the latest version; cached while in use.

        Raises NotFound, naming what there is, or ArtefactError with the reason.
        """
        if version and (model := self._loaded.get((name, version))):
            return model
        versions = self.versions(name)
        version = versions[-1] if version is None else version
        if version not in versions:
            raise NotFound(f"no version {version!r:.80} of {name!r}; there is {_listing(versions)}")
        with _named(name, version), self._locks[name, version]:
            model = self._loaded.get((name, version)) or self._load(name, version)
            self._loaded[name, version] = model
        return model

    def check(self, name: str, version: str, process: VerifierProcess) -> tuple[Manifest, str]:
        """Return the manifest of a version and its provider, once the process has loaded it.

        Accelerators are tried as in `load`. Raises ArtefactError with the reason.
        """
        with _named(name, version):
            plan = self._plan(name, version)
        if any(each != CPU and each in listed() for each in plan.names):
            model = self.load(name, version)
            return model.manifest, model.session.provider
        folder = self.path / name / version
        limit_s = self._verifier.limit_s if self._verifier else LIMIT_S
        with _named(name, version):
            process.load(folder, limit_s=limit_s)
            manifest = Manifest.from_json(_bytes(folder / "manifest.json"))
            _check_name(manifest, name, version)
        return manifest, CPU

    def first(self, name: str) -> tuple[Model, dict[str, str]]:
        """Return the model to serve at start, and the reason of each version rejected before it.

        It is the newest complete version, unless one is pinned, loaded in a thread: a process for
        each would take too long here. One that is late is rejected; what cannot be ended, such as a
        wait for a device, keeps its thread, one at most: versions after it are verified first.

        Raises NotFound, and ArtefactError with the first reason when every version is rejected.
        """
        rejected: dict[str, str] = {}
        for version in load_order(self.versions(name), self._pin_at_start(name)):
            try:
                return self._load_at_start(name, version), rejected
            except ArtefactError as error:
                rejected[version] = str(error)
        raise ArtefactError(next(iter(rejected.values())))

    def report(self, name: str, version: str) -> str:
        """Return the report of a version, Markdown. Raises NotFound, naming what there is."""
        if version not in (versions := self.versions(name)):
            raise NotFound(f"no version {version!r:.80} of {name!r}; there is {_listing(versions)}")
        try:
            return _bytes(self.path / name / version / "report.md").decode(errors="replace")
        except ArtefactError as error:
            raise NotFound(f"{name} {version} has no report: {error}") from error

    def pin(self, name: str) -> Pin | None:
        """Return the pin of a model, or None. Raises ArtefactError if it cannot be read."""
        return read_pin(self.path / name)

    def set_pin(self, name: str, pin: Pin | None) -> None:
        """Write a pin that every process and the next start read; None unpins. Raises OSError."""
        write_pin(self.path / name, pin)

    def signature(self, name: str, version: str) -> Signature:
        """Return what changes when a version's files do; empty where nothing can be read."""
        try:
            with os.scandir(self.path / name / version) as found:
                return tuple(sorted((entry.name, *file_signature(entry.stat())) for entry in found))
        except (OSError, ValueError):  # no path has a zero byte
            return ()

    def _load(self, name: str, version: str) -> Model:
        if not self._verifier:
            return self._read(name, version, self._plan(name, version))
        folder, signature = self.path / name / version, self.signature(name, version)
        self._verifier.check(folder, signature)
        plan = self._plan(name, version)
        return self._verifier.load(folder, signature, partial(self._read, name, version, plan))

    def _load_at_start(self, name: str, version: str) -> Model:
        verifier = self._verifier
        if verifier is None or (name, version) in self._loaded:
            return self.load(name, version)

        def read() -> Model:
            plan = self._plan(name, version)
            return self._read(name, version, plan, limit_s=verifier.limit_s)

        def report(waited: float, used: float) -> None:
            self.loading = f"{name} {version} for {waited:.0f} s, {used:.1f} of them on a processor"
            times = {"seconds": round(waited), "processor": round(used, 1)}
            self._providers.report("still loading", model=name, version=version, **times)

        folder, signature = self.path / name / version, self.signature(name, version)
        more_s, self.loading = self._trials.longest_s, f"{name} {version}"
        try:
            with _named(name, version):
                if verifier.abandoned:
                    verifier.check(folder, signature)
                model = verifier.load(folder, signature, read, more_s=more_s, report=report)
        finally:
            self.loading = ""
        with self._locks[name, version]:
            return self._loaded.setdefault((name, version), model)

    def _pin_at_start(self, name: str) -> Pin | None:
        """Return the pin; one that cannot be read must not keep a server from starting."""
        with suppress(ArtefactError):
            return self.pin(name)
        return None

    def _plan(self, name: str, version: str) -> Plan:
        """Return which providers are left to open a version on, after a trial of each before."""
        if not self._verifier:
            return Plan(self._providers.names)
        return self._trials.plan(self.path / name / version, self.signature(name, version))

    def _read(self, name: str, version: str, plan: Plan, *, limit_s: float | None = None) -> Model:
        model = read(
            self.path / name / version,
            sessions=self._sessions,
            limit_s=limit_s,
            providers=replace(self._providers, names=plan.names),
        )
        _check_name(model.manifest, name, version)
        model.session.refused.update(plan.refused)
        for provider, why in model.session.refused.items():
            self._providers.report("provider not used", model=name, provider=provider, why=why)
        return model

    def _versions(self, name: str) -> list[str]:
        return sorted(filter(VERSION.fullmatch, entries(f"{self.path}/{name}")), key=int)


def read(
    folder: Path,
    *,
    sessions: Sessions | None = None,
    limit_s: float | None = None,
    providers: Providers | None = None,
) -> Model:
    """Return the artefact in a folder, checked and warmed. Raises ArtefactError with the reason.

    sessions: of other artefacts; one with the same graph is shared, a new one is added. limit_s:
    seconds that the graph may run on a provider, as far as a run can be ended. providers: the first
    on which the golden inputs give the golden scores is used.
    """
    manifest = Manifest.from_json(_bytes(folder / "manifest.json"))
    files = {name: _bytes(folder / name) for name in FILES}
    for name, content in files.items():
        if hashlib.sha256(content).hexdigest() != manifest.files[name]:
            raise ArtefactError(
                f"{name} is not the file the manifest was made with: its sha256 differs"
            )
    config = manifest.input.config()
    kind = kind_of(manifest.input.kind)
    if kind.fingerprint(config) != manifest.input.fingerprint:
        raise ArtefactError(
            "made with another feature arithmetic: its fingerprint is not the running code's"
        )
    thresholds = np.array([label.threshold for label in manifest.labels], np.float32)
    sessions = weakref.WeakValueDictionary() if sessions is None else sessions

    def check(session: Session) -> None:
        model = Model(manifest, config, thresholds, session)
        _check_signature(model)
        run_golden(
            model, files["golden.npz"], limit_s, max_batch=(providers or Providers()).max_batch
        )

    graph = manifest.files["model.onnx"], kind.accelerate
    if session := sessions.get(graph):
        check(session)
    else:
        session = sessions[graph] = Session(
            files["model.onnx"], accelerate=kind.accelerate, providers=providers, trial=check
        )
    return Model(manifest, config, thresholds, session)


@contextmanager
def _named(name: str, version: str) -> Iterator[None]:
    """Add the version to the reason why it is rejected."""
    try:
        yield
    except ArtefactError as error:
        raise ArtefactError(f"{name} {version}: {error}") from error


def _bytes(path: Path) -> bytes:
    try:
        # A pipe may give nothing, for ever.
        return read_regular(path)
    except OSError as error:
        raise ArtefactError(f"{path.name} cannot be read: {error.strerror}") from error


def _check_name(manifest: Manifest, name: str, version: str) -> None:
    if (manifest.name, manifest.version) != (name, version):
        raise ArtefactError(f"the manifest is that of {manifest.name} {manifest.version}")


def _check_signature(model: Model) -> None:
    spec, session = model.manifest.input, model.session
    declared = (spec.dtype, spec.shape, len(model.labels))
    actual = (str(session.dtype), session.shape, session.labels)
    if declared != actual or spec.shape != model.input.shape(model.config):
        raise ArtefactError(
            f"(dtype, shape, labels) is {declared} in the manifest and {actual} in the graph"
        )


def _listing(names: list[str]) -> str:
    return ", ".join(names) or "none"
