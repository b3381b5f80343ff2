"""Where a network looked: the last feature maps, weighted by what the first guess owes to them, over the picture."""

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
"""How much of the picture the hottest point hides."""


def heat(model: Any, x: Any) -> npt.NDArray[np.float32]:
    """Return Grad-CAM of the first guess (n, rows, columns), 0 to 1 (R. Selvaraju et al., 2017).

    Slopes are not averaged over the places (HiResCAM, R. Draelos and L. Carin, 2020): after a
    pooling that is the same, after a flattening only so places that speak for the guess are found.
    x: what the model takes. The maps are those that the last global pooling, or the flattening,
    takes.
    """
    pooling = _pooling(model)
    with _watched(pooling) as seen:
        logits = model(x, training=False)
    logits.max(dim=1).values.sum().backward()
    maps, slopes = seen[-1].detach(), seen[-1].grad
    if _order(model) == "channels_last":
        maps, slopes = maps.permute(0, 3, 1, 2), slopes.permute(0, 3, 1, 2)
    found = (maps * slopes).sum(dim=1).relu()
    most = found.amax(dim=(1, 2), keepdim=True)
    array: npt.NDArray[np.float32] = (found / most.clamp(min=1e-12)).numpy()
    return array


def over(image: Pixels, found: npt.NDArray[np.float32]) -> Pixels:
    """Return a picture (height, width, 3) in grey with its heat over it, from yellow to red, which no ground hides."""
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
    """Return the layer that ends the feature maps; earlier ones only weigh channels."""
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
    """Return where the channels of the feature maps are, which flattening does not know."""
    every = model._flatten_layers(include_self=False, recursive=True)  # noqa: SLF001
    order: str = [layer for layer in every if hasattr(layer, "kernel_size")][-1].data_format
    return order


@contextmanager
def _watched(layer: Any) -> Iterator[list[Any]]:
    """Give a list of what the layer takes, each a leaf that gradients reach."""
    seen, own = list[Any](), layer.call

    def call(x: Any) -> Any:
        seen.append(x.detach().requires_grad_())
        return own(seen[-1])

    layer.call = call
    try:
        yield seen
    finally:
        del layer.call
