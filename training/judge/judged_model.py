"""The model that is judged: an artefact, or a network's file as it comes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.store import Model, Store, read
from training.common.errors import MaterialError
from training.judge.classes import read_classes
from training.judge.network_file import FileOptions, open_network
from training.pictures.learn.network import softmax

if TYPE_CHECKING:
    import numpy.typing as npt

    from models.kinds import Config, InputKind
    from models.session import Session
    from training.evaluation.metrics import Scores

SUM_TOLERANCE = 1e-2


@dataclass(frozen=True)
class JudgedModel:
    """A model with the names of its classes."""

    name: str
    version: str
    labels: list[str]
    several: bool
    """Whether any number of labels can be right at once."""
    kind: InputKind[Any]
    config: Config
    session: Session
    model: Model | None = None
    """The artefact, if it is one."""
    blue_first: bool = False

    @property
    def medium(self) -> str:
        """What it takes: sound or picture."""
        return self.kind.medium

    def scores(self, tensors: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return what the model gives for tensors (n, *shape): scores, or logits of a file."""
        return self.session.predict(
            np.ascontiguousarray(tensors[..., ::-1]) if self.blue_first else tensors
        )


def open_model(
    named: str, *, version: str | None, artefacts: Path, options: FileOptions
) -> JudgedModel:
    """Return an artefact by its name or folder, or the network of a file.

    Raises NotFound, ArtefactError, MaterialError.
    """
    path = Path(named).expanduser()
    if (path / "manifest.json").is_file():
        return _artefact(read(path))
    if path.suffix and path.suffix != ".":
        return _file(path, options)
    return _artefact(Store(artefacts).load(named, version))


def probabilities(values: Scores) -> Scores:
    """Return scores (n, classes) that add up to 1: as they are if they do, else their softmax."""
    add_up = np.abs(values.sum(axis=1) - 1).max(initial=0) <= SUM_TOLERANCE
    return values if add_up and values.min(initial=0) >= 0 else softmax(values)


def _artefact(model: Model) -> JudgedModel:
    return JudgedModel(
        model.name,
        model.version,
        model.labels,
        model.manifest.task == "multi-label",
        model.input,
        model.config,
        model.session,
        model,
    )


def _file(path: Path, options: FileOptions) -> JudgedModel:
    if options.classes is None:
        raise MaterialError(
            f"{path.name} does not say what its scores are of: name a file of its classes, one a "
            "line in their order, with --classes"
        )
    labels = read_classes(options.classes)
    found = open_network(path, options, classes=len(labels))
    zeros = np.zeros((1, *found.session.shape), found.session.dtype)
    count = found.session.predict(zeros).shape[1]
    if count != len(labels):
        raise MaterialError(
            f"{path.name} gives {count:,} scores, and {options.classes} names {len(labels):,} "
            "classes"
        )
    return JudgedModel(
        path.name,
        "",
        labels,
        options.several,
        found.kind,
        found.config,
        found.session,
        blue_first=found.blue_first,
    )
