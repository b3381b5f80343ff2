"""The model that is judged: an artefact, or a network's file as it comes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.config import PictureConfig
from models.session import Session
from models.store import Model, Store, read
from training.common.errors import MaterialError
from training.judge.classes import read_classes
from training.pictures.learn.backbones import BLUE_FIRST_MEAN, DEVIATION, MEAN
from training.pictures.learn.layer_onnx import whole_graph
from training.pictures.learn.network import softmax

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from models.kinds import Config
    from training.evaluation.metrics import Scores

PIXELS: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "own": ((0.0,), (1.0,)),
    "share": ((0.0,), (255.0,)),
    "unit": ((127.5,), (127.5,)),
    "standard": ([255 * one for one in MEAN], [255 * one for one in DEVIATION]),
    "blue-first": (BLUE_FIRST_MEAN, (1.0,)),
}
"""Mean and scale of the pixels that a network with a float input takes: own (0 to 255), share (0 to
1), unit (-1 to 1), standard (by ImageNet's mean and deviation), blue-first (less the mean)."""
SUM_TOLERANCE = 1e-2


@dataclass(frozen=True)
class FileOptions:
    """What a network's file does not say."""

    classes: Path | None = None
    """File of its classes, in the order of the scores."""
    pixels: str = "standard"
    """A name of PIXELS."""
    size: tuple[int, int] = (224, 224)
    """Height and width, if the network takes pictures of any."""
    fit: str = "crop"
    """How another aspect ratio is handled."""


@dataclass(frozen=True)
class JudgedModel:
    """A model with the names of its classes."""

    name: str
    version: str
    labels: list[str]
    several: bool
    """Whether any number of labels can be right at once."""
    medium: str
    config: Config
    session: Session
    model: Model | None = None
    """The artefact, if it is one."""
    blue_first: bool = False

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
        model.input.medium,
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
    mean, scale = PIXELS[options.pixels]
    blue_first = options.pixels == "blue-first"
    graph = whole_graph(path, mean=mean, scale=scale, size=options.size)
    session = Session(graph)
    height, width = session.shape[:2]
    config = PictureConfig(height=height, width=width, fit=options.fit)  # type: ignore[arg-type]
    count = session.predict(np.zeros((1, *session.shape), np.uint8)).shape[1]
    if count != len(labels):
        raise MaterialError(
            f"{path.name} gives {count:,} scores, and {options.classes} names {len(labels):,} "
            "classes"
        )
    return JudgedModel(
        path.name, "", labels, False, "picture", config, session, blue_first=blue_first
    )
