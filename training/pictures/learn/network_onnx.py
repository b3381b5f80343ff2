"""Exports a small Keras network to ONNX, with batch norm folded into the convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import ArtefactError
from models.export.onnx_graph import Graph
from models.session import Session

if TYPE_CHECKING:
    import numpy.typing as npt

    from training.pictures.learn.network import Fitted

TOLERANCE = 1e-4


def export(fitted: Fitted, images: npt.NDArray[np.uint8]) -> bytes:
    """Return the graph from uint8 (n, height, width, 3) to `scores` (n, labels) float32.

    images: some of these, to compare with. Raises ArtefactError if scores differ from Keras's by
    more than 1e-4.
    """
    from onnx import TensorProto, helper

    graph, layers = Graph(), list(fitted.model.layers)
    _, _, height, width = fitted.model.input_shape
    x = graph.add("Cast", graph.add("Transpose", "pixels", perm=[0, 3, 1, 2]), to=TensorProto.FLOAT)
    for number, layer in enumerate(layers):
        following = layers[number + 1] if number + 1 < len(layers) else None
        x = _layer(graph, x, layer, following, fitted.temperature)
    graph.add("Softmax", x, axis=1)
    takes = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", height, width, 3])
    content = graph.serialise(takes, labels=fitted.model.output_shape[1])
    expected = fitted.scores(images, np.arange(len(images)))
    difference = float(np.abs(Session(content).predict(images) - expected).max())
    if not difference <= TOLERANCE:
        raise ArtefactError(f"the graph's scores differ from the network's by {difference:.2g}")
    return content


def _layer(graph: Graph, x: str, layer: Any, following: Any, temperature: float) -> str:
    """Add one layer and return the name of its output."""
    kind = type(layer).__name__
    if kind == "Rescaling":
        scaled = graph.add("Mul", x, graph.constant(np.float32(layer.scale)))
        return graph.add("Add", scaled, graph.constant(np.float32(layer.offset)))
    if kind == "Conv2D":
        parts = (graph.constant(value) for value in _folded(layer, following))
        return graph.add("Conv", x, *parts, pads=[side // 2 for side in layer.kernel_size] * 2)
    if kind == "Dense":
        weights = (
            _numbers(value) / np.float32(temperature) for value in (layer.kernel, layer.bias)
        )
        return graph.add("Gemm", x, *map(graph.constant, weights))
    if kind == "MaxPooling2D":
        return graph.add(
            "MaxPool", x, kernel_shape=list(layer.pool_size), strides=list(layer.strides)
        )
    if kind == "GlobalAveragePooling2D":
        return graph.add("Flatten", graph.add("GlobalAveragePool", x))
    # Batch norm is folded into its convolution; dropout is for training only.
    passed = kind in {"BatchNormalization", "Dropout"}
    return x if passed else graph.add({"ReLU": "Relu", "Flatten": "Flatten"}[kind], x)


def _folded(convolution: Any, following: Any) -> tuple[Any, Any]:
    """Return weight (out, in, height, width) and bias of a convolution with its batch norm."""
    weight = _numbers(convolution.kernel).transpose(3, 2, 0, 1)
    if type(following).__name__ != "BatchNormalization":
        return weight, _numbers(convolution.bias)
    scale = _numbers(following.gamma) / np.sqrt(
        _numbers(following.moving_variance) + following.epsilon
    )
    bias = _numbers(following.beta) - _numbers(following.moving_mean) * scale
    return (weight * scale[:, None, None, None]).astype(np.float32), bias.astype(np.float32)


def _numbers(variable: Any) -> npt.NDArray[np.float32]:
    return np.asarray(variable.value.detach().numpy(), np.float32)
