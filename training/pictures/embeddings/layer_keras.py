"""Truncates a Keras network at a layer: a graph from uint8 pictures to its output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from training.common.errors import MaterialError
from training.pictures.dataset.folders import some
from training.pictures.learn.network import keras_on_torch
from training.pictures.transfer.transfer_onnx import written

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SUFFIXES = {".keras", ".h5"}


def load(path: Path) -> Any:
    """Return the network of a .keras or .h5 file. Raises MaterialError when there is none in it."""
    if not path.is_file():
        raise MaterialError(f"no network {path}: give an ONNX, .keras or .h5 file")
    try:
        return keras_on_torch().saving.load_model(path, compile=False)
    except Exception as error:  # zipfile, h5py, json and Keras have their own errors
        raise MaterialError(
            f"{path} is not a Keras network (of weights alone, name the backbone too): {error}"
        ) from error


def layers(model: Any) -> list[str]:
    """Return the names of the layers of a network, and of networks inside it, in order."""
    return [layer.name for layer in _every(model)]


def _every(model: Any) -> Iterator[Any]:
    """Yield the layers in order, inner ones after their network; Keras's order is reversed."""
    for layer in model.layers:
        yield layer
        yield from _every(layer) if hasattr(layer, "layers") else ()


def truncate(
    model: Any,
    layer: str = "",
    *,
    mean: Sequence[float],
    scale: Sequence[float],
    size: tuple[int, int],
) -> tuple[bytes, str]:
    """Return the graph from uint8 (n, height, width, 3) to float32 (n, numbers), and the layer.

    layer: a name of `layers`; default: the last. mean, scale: as in `layer_onnx.truncate`. size:
    height and width for a network of any size. Raises MaterialError for an unknown layer or a
    network that takes no pictures.
    """
    names = layers(model)
    layer = layer or model.layers[-1].name
    if layer not in names:
        raise MaterialError(f"no layer {layer!r}; layers: {some(names)}")
    shape = model.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or 3 not in (shape[1], shape[3]):
        raise MaterialError(
            f"the network takes {shape}: its only input must be pictures of three channels"
        )
    first = shape[3] != 3
    height, width = (
        known or asked
        for known, asked in zip(shape[2:] if first else shape[1:3], size, strict=True)
    )
    module = _module(model, layer, mean=mean, scale=scale, first=first)
    try:
        return written(module, (height, width, 3), gives="descriptor"), layer
    except Exception as error:
        raise MaterialError(
            f"up to layer {layer!r} the network cannot become an ONNX graph: {error}"
        ) from error


def _module(
    model: Any, name: str, *, mean: Sequence[float], scale: Sequence[float], first: bool
) -> Any:
    import torch

    layer = next(layer for layer in _every(model) if layer.name == name)
    minus, over = (torch.from_numpy(np.array(values, np.float32)) for values in (mean, scale))

    class Whole(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: Any) -> Any:
            seen, own = list[Any](), layer.call

            def call(*given: Any, **how: Any) -> Any:
                seen.append(own(*given, **how))
                return seen[-1]

            layer.call = call
            try:
                x = (pixels.float() - minus) / over
                self.model(x.permute(0, 3, 1, 2) if first else x, training=False)
            finally:
                del layer.call
            return seen[-1].flatten(1)

    return Whole().eval()
