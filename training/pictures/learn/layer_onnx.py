"""Truncates an ONNX or Keras network at a layer: a graph from uint8 pictures to its output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.session import Session
from training.common.errors import MaterialError
from training.pictures.dataset.folders import some
from training.pictures.learn import layer_keras

if TYPE_CHECKING:
    from collections.abc import Sequence

PASSED = {"Reshape", "Flatten", "Squeeze", "Identity", "QuantizeLinear"}
"""Operators at the end of a network that only change the form of the layer before."""
DESCRIPTOR = "descriptor"
TOLERANCE = 1e-3
"""Between a picture alone and in a batch, relative to the largest number."""


def layer_graph(
    path: Path,
    layer: str = "",
    *,
    mean: Sequence[float],
    scale: Sequence[float],
    size: tuple[int, int],
) -> bytes:
    """Return the truncated graph of an ONNX or Keras file.

    size: height and width for a Keras network of any size. Raises MaterialError as `truncate` does,
    and when the file holds no network.
    """
    if path.suffix not in layer_keras.SUFFIXES:
        return truncate(load(path), layer, mean=mean, scale=scale)
    content, layer = layer_keras.truncate(
        layer_keras.load(path), layer, mean=mean, scale=scale, size=size
    )
    _check(content, layer)
    return content


def layer_names(path: Path) -> list[str]:
    """Return the names of the layers of an ONNX or Keras file. Raises MaterialError."""
    if path.suffix in layer_keras.SUFFIXES:
        return layer_keras.layers(layer_keras.load(path))
    return layers(load(path))


def load(path: Path) -> Any:
    """Return the ONNX network of a file. Raises MaterialError when there is none."""
    import onnx

    try:
        return onnx.load(path)
    except FileNotFoundError:
        raise MaterialError(f"no network {path}: give an ONNX, .keras or .h5 file") from None
    except Exception as error:  # protobuf has its own errors
        raise MaterialError(f"{path} is not an ONNX network: {error}") from error


def layers(model: Any) -> list[str]:
    """Return the names of the outputs of a network's nodes, in order."""
    return [name for node in model.graph.node for name in node.output if name]


def truncate(
    model: Any, layer: str = "", *, mean: Sequence[float] = (0,), scale: Sequence[float] = (255,)
) -> bytes:
    """Return the graph from `pixels`, uint8 (n, height, width, 3), to `descriptor`, (n, numbers).

    layer: a name of `layers`; default: the last that is not only a reshape. mean, scale: subtracted
    from pixels of 0 to 255, then divided by, for a network with a float input; one number, or one a
    channel. Raises MaterialError for an unknown layer, a network that takes no pictures, and one
    that cannot take batches.
    """
    import onnx

    graph = model.graph
    layer = layer or _last(graph)
    if layer not in layers(model):
        raise MaterialError(f"no layer {layer!r}; layers: {some(layers(model))}")
    nodes, used = _needed(graph, layer)
    first = _input(graph)
    head = _input_nodes(first, mean, scale)
    nodes.append(onnx.helper.make_node("Flatten", [layer], [DESCRIPTOR], axis=1))
    takes = onnx.helper.make_tensor_value_info(
        "pixels", onnx.TensorProto.UINT8, ["n", *_sides(first), 3]
    )
    gives = onnx.helper.make_tensor_value_info(DESCRIPTOR, onnx.TensorProto.FLOAT, ["n", None])
    checkpoint = [constant for constant in graph.initializer if constant.name in used]
    whole = onnx.helper.make_graph(
        [*head[0], *nodes], "descriptor", [takes], [gives], [*checkpoint, *head[1]]
    )
    made = onnx.helper.make_model(
        whole, opset_imports=model.opset_import, ir_version=max(model.ir_version, 8)
    )
    content = bytes(made.SerializeToString())
    _check(content, layer)
    return content


def _last(graph: Any) -> str:
    by_output = {name: node for node in graph.node for name in node.output}
    name = graph.output[0].name
    while name in by_output and by_output[name].op_type in PASSED:
        name = by_output[name].input[0]
    return str(name)


def _needed(graph: Any, layer: str) -> tuple[list[Any], set[str]]:
    """Return the nodes that a layer depends on, and the names of their inputs."""
    wanted, nodes = {layer}, []
    for node in reversed(graph.node):
        if wanted.intersection(node.output):
            nodes.append(node)
            wanted.update(node.input)
    return nodes[::-1], wanted


def _input(graph: Any) -> Any:
    constants = {constant.name for constant in graph.initializer}
    takes = [item for item in graph.input if item.name not in constants]
    if len(takes) != 1 or len(takes[0].type.tensor_type.shape.dim) != 4:
        raise MaterialError("the network must take pictures, and nothing else")
    return takes[0]


def _channels_first(first: Any) -> bool:
    sizes = [dim.dim_value for dim in first.type.tensor_type.shape.dim]
    if 3 not in (sizes[1], sizes[3]):
        raise MaterialError(
            f"the network takes {sizes}: pictures have three channels, first or last"
        )
    return bool(sizes[3] != 3)


def _sides(first: Any) -> list[int]:
    sizes = [dim.dim_value for dim in first.type.tensor_type.shape.dim]
    sides = sizes[2:] if _channels_first(first) else sizes[1:3]
    if not all(sides):
        raise MaterialError(
            "the network takes pictures of any size: export it with a fixed height and width"
        )
    return sides


def _input_nodes(
    first: Any, mean: Sequence[float], scale: Sequence[float]
) -> tuple[list[Any], list[Any]]:
    """Return nodes and constants from `pixels` to the input of the network."""
    from onnx import TensorProto, helper, numpy_helper

    if first.type.tensor_type.elem_type == TensorProto.UINT8:
        wanted = [helper.make_node("Identity", ["pixels"], [first.name])]
        if _channels_first(first):
            wanted = [helper.make_node("Transpose", ["pixels"], [first.name], perm=[0, 3, 1, 2])]
        return wanted, []
    constants = [
        numpy_helper.from_array(np.array(values, np.float32).reshape(1, 1, 1, -1), f"pixels_{name}")
        for name, values in (("mean", mean), ("scale", scale))
    ]
    perm = [0, 3, 1, 2] if _channels_first(first) else [0, 1, 2, 3]
    return [
        helper.make_node("Cast", ["pixels"], ["pixels_float"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["pixels_float", "pixels_mean"], ["pixels_centred"]),
        helper.make_node("Div", ["pixels_centred", "pixels_scale"], ["pixels_scaled"]),
        helper.make_node("Transpose", ["pixels_scaled"], [first.name], perm=perm),
    ], constants


def _check(content: bytes, layer: str) -> None:
    """Raise MaterialError for a graph that does not treat each picture on its own."""
    session = Session(content)
    images = np.random.default_rng(0).integers(0, 256, (3, *session.shape), np.uint8)
    try:
        together = session.predict(images)
    except Exception as error:
        raise MaterialError(
            f"up to layer {layer!r} the network takes one picture at a time: {error}"
        ) from error
    alone = np.concatenate([session.predict(images[i : i + 1]) for i in range(3)])
    if together.shape != alone.shape or np.abs(together - alone).max() > TOLERANCE * max(
        1.0, np.abs(alone).max()
    ):
        raise MaterialError(f"up to layer {layer!r} the network mixes the pictures of a batch")
