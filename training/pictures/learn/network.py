"""Small convolutional networks on pictures in Keras 3 on torch; `network_onnx` exports them."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from training.common.recipe import RecipeError

if TYPE_CHECKING:
    from training.evaluation.metrics import Scores
    from training.pictures.dataset.settings import Network

BACKEND = "torch"
BATCH = 256
"""Pictures scored at a time."""
LIBRARIES = ("numpy", "keras", "torch", "onnx")
"""Libraries whose versions an artefact of a Keras network names."""
NORM_MOMENTUM, NORM_EPSILON = 0.9, 1e-3
TEMPERATURES = np.geomspace(0.25, 8, 101)


@dataclass(frozen=True)
class Fitted:
    """A trained network as it was after its best epoch, and its history."""

    model: Any
    """keras.Sequential from pixels (n, 3, height, width) of 0 to 255 to logits (n, labels)."""
    temperature: float = 1.0
    """Logits are divided by it, so that a score is a probability; from the validation part."""
    history: list[dict[str, float]] = field(default_factory=list)
    """One entry an epoch: loss, valid_loss, valid_accuracy, seconds so far."""

    def logits(
        self, images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float32]:
        """Return logits (rows, labels) of some of the images (n, height, width, 3)."""
        import torch

        parts = [np.zeros((0, self.model.output_shape[1]), np.float32)]
        with torch.inference_mode():
            for start in range(0, len(rows), BATCH):
                x = tensor(images, rows[start : start + BATCH])
                parts.append(self.model(x, training=False).numpy())
        return np.concatenate(parts)

    def scores(self, images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> Scores:
        """Return scores (rows, labels) that add up to 1."""
        return softmax(self.logits(images, rows) / self.temperature)


def keras_on_torch(*, threads: int = 0) -> Any:
    """Return Keras with torch as its backend. threads: of torch; 0 keeps their number.

    Raises RecipeError when Keras was loaded with another backend before.
    """
    os.environ.setdefault("KERAS_BACKEND", BACKEND)
    import keras

    if keras.backend.backend() != BACKEND:
        raise RecipeError(
            f"Keras runs on {keras.backend.backend()}: set KERAS_BACKEND={BACKEND} "
            "before its import"
        )
    if threads:
        import torch

        # More threads would compete for the same cores, and sums depend on their number.
        torch.set_num_threads(threads)
    return keras


def build(network: Network, *, height: int, width: int, labels: int, seed: int) -> Any:
    """Return the network with random weights that depend on the seed only."""
    keras = keras_on_torch()
    keras.utils.set_random_seed(seed)
    layers = [keras.Input((3, height, width)), keras.layers.Rescaling(1 / 127.5, offset=-1.0)]
    for maps in network.maps:
        for _ in range(network.repeat):
            layers.append(_convolution(keras, maps, network))
            if network.norm:
                norm = keras.layers.BatchNormalization
                layers.append(norm(axis=1, momentum=NORM_MOMENTUM, epsilon=NORM_EPSILON))
            layers.append(keras.layers.ReLU())
        layers.append(keras.layers.MaxPooling2D(2, data_format="channels_first"))
    mean = keras.layers.GlobalAveragePooling2D(data_format="channels_first")
    layers.append(keras.layers.Flatten() if network.head == "flatten" else mean)
    if network.dropout:
        layers.append(keras.layers.Dropout(network.dropout))
    return keras.Sequential([*layers, keras.layers.Dense(labels)])


def _convolution(keras: Any, maps: int, network: Network) -> Any:
    return keras.layers.Conv2D(
        maps,
        network.kernel,
        padding="same",
        use_bias=not network.norm,
        kernel_initializer="he_normal",
        data_format="channels_first",
    )


def keras_file(model: Any) -> bytes:
    """Return a model as the bytes of a .keras file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()


def tensor(images: npt.NDArray[np.uint8], rows: npt.NDArray[np.int64]) -> Any:
    """Return some of the images as float32 (rows, 3, height, width) of 0 to 255."""
    import torch

    return torch.from_numpy(images[rows]).permute(0, 3, 1, 2).float()


def softmax(logits: npt.NDArray[np.float32]) -> Scores:
    """Return scores that add up to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores: Scores = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return scores


def temperature(logits: npt.NDArray[np.float32], truth: npt.NDArray[np.integer[Any]]) -> float:
    """Return the divisor of logits that calibrates scores (C. Guo et al., 2017); 1 without rows."""
    if not len(logits):
        return 1.0
    at = np.arange(len(truth))
    losses = [-np.log(softmax(logits / one)[at, truth] + 1e-9).mean() for one in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmin(losses))])
