"""The network of a file as it comes: .onnx, Keras's, or weights of a known architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from common.errors import ArtefactError
from features.config import AudioConfig, PictureConfig
from models.kinds import KINDS, InputKind
from models.session import Session
from training.common.errors import MaterialError
from training.common.recipe import RecipeError
from training.pictures.embeddings import layer_keras, layer_onnx
from training.pictures.learn.backbones import BLUE_FIRST_MEAN, DEVIATION, MEAN
from training.pictures.learn.torch_weights import SUFFIXES
from training.pictures.transfer.transfer_onnx import written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from models.kinds import Config

PIXELS: dict[str, tuple[Sequence[float], Sequence[float]]] = {
    "own": ((0.0,), (1.0,)),
    "share": ((0.0,), (255.0,)),
    "unit": ((127.5,), (127.5,)),
    "standard": ([255 * one for one in MEAN], [255 * one for one in DEVIATION]),
    "blue-first": (BLUE_FIRST_MEAN, (1.0,)),
}
"""Mean and scale of the pixels that a network with a float input takes: own (0 to 255), share (0 to
1), unit (-1 to 1), standard (by ImageNet's mean and deviation), blue-first (less the mean)."""
FLOAT = 1
"""ONNX's number of the type."""
OTHERS = AudioConfig().shape("features")[0] - AudioConfig().n_mfcc
"""Of the features, those that are no cepstral coefficients."""
Shape = tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class FileOptions:
    """What a network's file does not say."""

    classes: Path | None = None
    """File of its classes, in the order of the scores."""
    several: bool = False
    """Whether any number of classes can be right at once, each with a probability of its own."""
    backbone: str = ""
    """The architecture of a file of weights alone, as recipes name it."""
    pixels: str = "standard"
    """A name of PIXELS."""
    size: tuple[int, int] = (224, 224)
    """Height and width, if the network takes pictures of any."""
    fit: str = "crop"
    """How another aspect ratio is handled."""
    sample_rate: int = AudioConfig().sample_rate
    """Hertz, of a network for sound."""
    window: float = AudioConfig().window / AudioConfig().sample_rate
    """Seconds, of a network for sound."""


class Network(NamedTuple):
    """The graph of a file, and what it takes."""

    kind: InputKind[Any]
    config: Config
    session: Session
    blue_first: bool = False


def open_network(path: Path, options: FileOptions, *, classes: int) -> Network:
    """Return the network of a file: of pictures, or of the features or log-mel of sound.

    classes: how many there are. Raises MaterialError for a file without a network, or one that
    takes something else.
    """
    if path.suffix in SUFFIXES and not options.backbone:
        raise MaterialError(
            f"{path.name} holds weights alone: name their architecture, such as "
            "--backbone resnet50-torchvision"
        )
    if not options.backbone and (found := _sound(path, options)):
        return found
    mean, scale = PIXELS[options.pixels]
    try:
        graph = layer_onnx.whole_graph(
            path,
            mean=mean,
            scale=scale,
            size=options.size,
            backbone=options.backbone,
            classes=classes,
        )
    except RecipeError as error:
        raise MaterialError(str(error)) from error
    session = Session(graph)
    height, width = session.shape[:2]
    config = PictureConfig(height=height, width=width, fit=options.fit)  # type: ignore[arg-type]
    blue_first = options.pixels == "blue-first" and not options.backbone
    return Network(KINDS["picture"], config, session, blue_first)


def _sound(path: Path, options: FileOptions) -> Network | None:
    """Return the network of a file that takes numbers (n, features) or (n, bands, frames)."""
    if path.suffix in layer_keras.SUFFIXES:
        model = layer_keras.load(path)
        takes = model.input_shape
        if not isinstance(takes, tuple) or len(takes) not in {2, 3}:
            return None
        name, config = _config(path, takes[1:], options)
        graph = _keras_graph(path, model, config.shape(name))
    else:
        onnx = layer_onnx.load(path)
        shape = _onnx_shape(onnx)
        if len(shape) not in {1, 2}:
            return None
        name, config = _config(path, shape, options)
        graph = onnx.SerializeToString()
    try:
        return Network(KINDS[name], config, Session(graph))
    except ArtefactError as error:
        raise MaterialError(f"{path}: {error}") from error


def _onnx_shape(model: Any) -> Shape:
    """Return the shape of the only input, of floats, without the batch; else ()."""
    constants = {constant.name for constant in model.graph.initializer}
    takes = [one.type.tensor_type for one in model.graph.input if one.name not in constants]
    if len(takes) != 1 or takes[0].elem_type != FLOAT:
        return ()
    return tuple(dim.dim_value or None for dim in takes[0].shape.dim[1:])


def _config(path: Path, shape: Shape, options: FileOptions) -> tuple[Any, AudioConfig]:
    """Return the kind of a network for sound, and its settings."""
    rate, window = options.sample_rate, round(options.sample_rate * options.window)
    if len(shape) == 1 and OTHERS < (shape[0] or 0) <= OTHERS + AudioConfig().n_mels:
        cepstra = shape[0] - OTHERS
        return "features", AudioConfig(sample_rate=rate, window=window, n_mfcc=cepstra)
    if len(shape) == 2 and shape[0]:
        config = AudioConfig(sample_rate=rate, window=window, n_mels=shape[0])
        if shape == config.shape("log_mel"):
            return "log_mel", config
        given = (
            f"; --window {options.window:g} at {rate:,} Hz has {config.frames} frames of "
            f"{config.hop_length} samples"
        )
    else:
        given = ""
    raise MaterialError(
        f"{path.name} takes {' x '.join(str(side or 'any') for side in shape)} numbers: of sound "
        f"only features ({OTHERS} and the cepstral coefficients) and log-mel spectrograms (bands "
        f"x frames) can be made{given}"
    )


def _keras_graph(path: Path, model: Any, shape: Shape) -> bytes:
    import torch

    class Whole(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Any) -> Any:
            return self.model(x, training=False)

    try:
        return written(Whole().eval(), shape, gives="scores", dtype=np.float32)
    except Exception as error:  # torch and Keras have their own errors
        raise MaterialError(f"{path.name} cannot become an ONNX graph: {error}") from error
