"""Grad-CAM heatmaps: the last feature maps, weighted by the gradient of the first guess."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from training.pictures.learn.network import keras_on_torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from features.config import Pixels

STRENGTH = 0.7
"""Opacity of the heatmap at its hottest point."""


def grad_cam(model: Any, x: Any) -> npt.NDArray[np.float32]:
    """Return Grad-CAM of the first guess (n, rows, columns), 0 to 1 (R. Selvaraju et al., 2017).

    Gradients are not averaged over positions (HiResCAM, R. Draelos and L. Carin, 2020): after a
    global pooling that is the same; after a flattening averaging would hide the positions that
    support the guess. x: input of the model. The maps are the input of the last global pooling or
    flattening.
    """
    pooling = _pooling(model)
    with _recorded_inputs(pooling) as seen:
        logits = model(x, training=False)
    logits.max(dim=1).values.sum().backward()
    maps, gradients = seen[-1].detach(), seen[-1].grad
    if _order(model) == "channels_last":
        maps, gradients = maps.permute(0, 3, 1, 2), gradients.permute(0, 3, 1, 2)
    found = (maps * gradients).sum(dim=1).relu()
    most = found.amax(dim=(1, 2), keepdim=True)
    array: npt.NDArray[np.float32] = (found / most.clamp(min=1e-12)).numpy()
    return array


def overlay(image: Pixels, found: npt.NDArray[np.float32]) -> Pixels:
    """Return a picture (height, width, 3) in grey with its heatmap over it, yellow to red."""
    height, width, _ = image.shape
    smooth = np.asarray(Image.fromarray(found).resize((width, height), Image.Resampling.BILINEAR))[
        ..., None
    ]
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)[..., None]
    colours = np.concatenate(
        (np.full_like(smooth, 255), 230 * (1 - smooth), np.zeros_like(smooth)), axis=2
    )
    share = STRENGTH * smooth
    return np.clip(grey * (1 - share) + colours * share, 0, 255).astype(np.uint8)


def _pooling(model: Any) -> Any:
    """Return the layer that ends the feature maps; earlier poolings only weigh channels."""
    layers = keras_on_torch().layers
    ends = [
        layer
        for layer in model.layers
        if isinstance(layer, layers.GlobalAveragePooling2D | layers.Flatten)
    ]
    return (
        ends[-1]
        if ends
        else _pooling([layer for layer in model.layers if hasattr(layer, "layers")][-1])
    )


def _order(model: Any) -> str:
    """Return the channel order of the feature maps, which a flattening layer does not know."""
    every = model._flatten_layers(include_self=False, recursive=True)  # noqa: SLF001
    order: str = [layer for layer in every if hasattr(layer, "kernel_size")][-1].data_format
    return order


@contextmanager
def _recorded_inputs(layer: Any) -> Iterator[list[Any]]:
    """Yield a list of the inputs of a layer, each a leaf tensor with gradients."""
    seen, own = list[Any](), layer.call

    def call(x: Any) -> Any:
        seen.append(x.detach().requires_grad_())
        return own(seen[-1])

    layer.call = call
    try:
        yield seen
    finally:
        del layer.call
