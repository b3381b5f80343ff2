"""Truncates an ONNX or Keras network at a layer: a graph from uint8 pictures to its output."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from models.session import Session
from training.common.errors import MaterialError
from training.pictures.dataset.folders import some
from training.pictures.embeddings import layer_keras
from training.pictures.learn import backbones, torch_weights
from training.pictures.learn.torchvision_bodies import layer_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

UINT8 = 2
"""ONNX's number of the type."""
PASSED = {"Reshape", "Flatten", "Squeeze", "Identity", "Cast", "QuantizeLinear"}
"""Operators at the end of a network that only change the form of the layer before."""
BEHIND_DENSE = PASSED | {"Add", "Div", "Mul", "DequantizeLinear"}
"""Operators between the last dense layer of a classifier and its softmax."""
DENSE = {"Gemm", "MatMul"}
OWN = "network/"
"""Before every name of the given graph, so that none is also a name of the nodes around it."""
DESCRIPTOR = "descriptor"
ANY_SIZE = (224, 224)
"""A backbone's layers have the same names for every size."""
TOLERANCE = 1e-3
"""Between a picture alone and in a batch, relative to the largest number."""


def layer_graph(
    path: Path,
    layer: str = "",
    *,
    mean: Sequence[float],
    scale: Sequence[float],
    size: tuple[int, int],
    backbone: str = "",
) -> bytes:
    """Return the truncated graph of an ONNX or Keras file, or of an artefact's folder.

    size: height and width of the pictures, for a Keras network of any size, and for an ONNX network
    that takes metadata behind them. backbone: the architecture of a file of weights alone; it
    normalises pixels itself, and has the layers of its classifier if that is torchvision's. Raises
    MaterialError as `truncate` does, and when the file holds no network.
    """
    if backbone:
        layer = layer_name(layer) if backbone in backbones.TORCHVISION else layer
        whole = torch_weights.CLASSIFIER.match(f"{layer.replace('_', '.')}.") is not None
        model = _backbone(path, backbone, size, whole=whole)
        content, layer = layer_keras.truncate(model, layer, mean=(0,), scale=(1,), size=size)
        _check(content, layer)
        return content
    if path.suffix not in layer_keras.SUFFIXES:
        return truncate(load(path), layer, mean=mean, scale=scale, size=size)
    content, layer = layer_keras.truncate(
        layer_keras.load(path), layer, mean=mean, scale=scale, size=size
    )
    _check(content, layer)
    return content


def whole_graph(
    path: Path,
    *,
    mean: Sequence[float],
    scale: Sequence[float],
    size: tuple[int, int],
    backbone: str = "",
    classes: int = 0,
) -> bytes:
    """Return the graph of an ONNX or Keras file from `pixels` to its first output.

    mean, scale, size, backbone: as in `layer_graph`. classes: of the classifier in a file of
    weights alone. Raises MaterialError as `truncate` does.
    """
    if backbone:
        height, width = size
        model = backbones.build_whole(backbone, path, height=height, width=width, classes=classes)
        content, layer = layer_keras.truncate(model, mean=(0,), scale=(1,), size=size)
        _check(content, layer)
        return content
    if path.suffix in layer_keras.SUFFIXES:
        return layer_graph(path, mean=mean, scale=scale, size=size)
    model = load(path)
    return truncate(model, model.graph.output[0].name, mean=mean, scale=scale, size=size)


def _backbone(path: Path, name: str, size: tuple[int, int], *, whole: bool) -> Any:
    """Return a network of weights alone, with its classifier if that is asked for and in them."""
    height, width = size
    ours = name in backbones.TORCHVISION and path.suffix in torch_weights.SUFFIXES
    if whole and ours and path.is_file() and (classes := torch_weights.classes(path)):
        return backbones.build_whole(name, path, height=height, width=width, classes=classes)
    return backbones.build(name, height=height, width=width, weights=str(path), seed=0)


def layer_names(path: Path, *, backbone: str = "") -> list[str]:
    """Return the names of the layers of an ONNX or Keras file. Raises MaterialError."""
    if backbone:
        return layer_keras.layers(_backbone(path, backbone, ANY_SIZE, whole=True))
    if path.suffix in layer_keras.SUFFIXES:
        return layer_keras.layers(layer_keras.load(path))
    return layers(load(path))


def load(path: Path) -> Any:
    """Return the ONNX network of a file or an artefact's folder.

    Raises MaterialError when there is none.
    """
    import onnx

    path = path / "model.onnx" if path.is_dir() else path
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
    model: Any,
    layer: str = "",
    *,
    mean: Sequence[float] = (0,),
    scale: Sequence[float] = (255,),
    size: tuple[int, int] = (0, 0),
) -> bytes:
    """Return the graph from `pixels`, uint8 (n, height, width, 3), to `descriptor`, (n, numbers).

    layer: a name of `layers`; default: what the last dense layer before a softmax takes, or the
    last that is not only a reshape. mean, scale: subtracted from pixels of 0 to 255, then divided
    by, for a network with a float input; one number, or one a channel. size: height and width of
    the pictures of a network that takes metadata behind them. Raises MaterialError for an unknown
    layer, one that metadata decide, a network that takes no pictures, and one that cannot take
    batches.
    """
    import onnx

    layer = layer or _default(model.graph)
    if layer not in layers(model):
        raise MaterialError(f"no layer {layer!r}; layers: {some(layers(model))}")
    sides, extra = _sides(_input(model.graph), size)
    made = onnx.helper.make_model(
        _graph(model.graph, layer, mean, scale, sides=sides, extra=extra),
        opset_imports=model.opset_import,
        functions=list(model.functions),
        ir_version=max(model.ir_version, 8),
    )
    content = bytes(made.SerializeToString())
    _check(content, layer)
    if extra:
        _check_metadata(made, layer)
    return content


def _graph(
    given: Any,
    layer: str,
    mean: Sequence[float],
    scale: Sequence[float],
    *,
    sides: list[int],
    extra: int,
) -> Any:
    """Return the graph of what a layer needs, between nodes of its own."""
    from onnx import GraphProto, TensorProto, helper

    own = GraphProto()
    own.CopyFrom(given)
    _rename(own)
    nodes, used = _needed(own, OWN + layer)
    head = _input_nodes(_input(own), mean, scale, extra=extra)
    ends = [
        helper.make_node("Flatten", [OWN + layer], [f"{DESCRIPTOR}_flat"], axis=1),
        # Networks in half precision, and quantised ones, have layers of other types.
        helper.make_node("Cast", [f"{DESCRIPTOR}_flat"], [DESCRIPTOR], to=TensorProto.FLOAT),
    ]
    checkpoint = [constant for constant in own.initializer if constant.name in used]
    return helper.make_graph(
        [*head[0], *nodes, *ends],
        "descriptor",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", *sides, 3])],
        [helper.make_tensor_value_info(DESCRIPTOR, TensorProto.FLOAT, ["n", None])],
        [*checkpoint, *head[1]],
        sparse_initializer=own.sparse_initializer,
    )


def _default(graph: Any) -> str:
    """Return the layer before the classifier, or the last that is not only a reshape."""
    by_output = {name: node for node in graph.node for name in node.output}
    if DESCRIPTOR in by_output:  # of a support vector machine
        return DESCRIPTOR
    last = _back(graph.output[0].name, by_output, PASSED)
    if last in by_output and by_output[last].op_type == "Softmax":
        dense = _back(by_output[last].input[0], by_output, BEHIND_DENSE)
        if dense in by_output and by_output[dense].op_type in DENSE:
            before = _back(by_output[dense].input[0], by_output, PASSED)
            return before if before in by_output else last
    return last


def _back(name: str, by_output: dict[str, Any], passed: set[str]) -> str:
    """Return the first output, from this one backwards, of an operator that is not passed."""
    while name in by_output and by_output[name].op_type in passed:
        name = next(
            (each for each in by_output[name].input if each in by_output), by_output[name].input[0]
        )
    return name


def _needed(graph: Any, layer: str) -> tuple[list[Any], set[str]]:
    """Return the nodes that a layer depends on, in order, and the names of their inputs."""
    by_output = {name: at for at, node in enumerate(graph.node) for name in node.output if name}
    taken = {at: set(_names(node)) for at, node in enumerate(graph.node)}
    # Converters to half precision leave nodes in another order than they run in.
    needs = {at: {by_output[name] for name in taken[at] if name in by_output} for at in taken}
    wanted, chosen = [by_output[layer]], set[int]()
    while wanted:
        at = wanted.pop()
        wanted += needs[at] - chosen
        chosen.add(at)
    order = TopologicalSorter({at: needs[at] for at in sorted(chosen)}).static_order()
    return [graph.node[at] for at in order], set[str]().union(*(taken[at] for at in chosen))


def _names(node: Any) -> Iterator[str]:
    """Yield the inputs of a node, and those of the nodes inside a branch or loop."""
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _names(inner)


def _rename(graph: Any) -> None:
    """Put OWN before every name of a graph and of the branches and loops in it."""
    for node in graph.node:
        node.name = OWN + node.name if node.name else ""
        for names in (node.input, node.output):
            names[:] = [OWN + name if name else "" for name in names]
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                _rename(inner)
    sparse = [constant.values for constant in graph.sparse_initializer]
    for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer, *sparse):
        item.name = OWN + item.name


def _input(graph: Any) -> Any:
    """Return the only input. Raises MaterialError for a network that takes no pictures."""
    constants = {constant.name for constant in graph.initializer}
    takes = [item for item in graph.input if item.name not in constants]
    forms = [[dim.dim_value for dim in item.type.tensor_type.shape.dim] for item in takes]
    kinds = [item.type.tensor_type.elem_type for item in takes]
    # Pictures with metadata are one row of bytes, as `features.picture.tensor` makes them.
    if len(takes) != 1 or not (len(forms[0]) == 4 or (len(forms[0]), kinds[0]) == (2, UINT8)):
        listed = "; ".join(f"{item.name} {form}" for item, form in zip(takes, forms, strict=True))
        raise MaterialError(f"the network must take pictures, and nothing else; it takes {listed}")
    return takes[0]


def _channels_first(first: Any) -> bool:
    sizes = [dim.dim_value for dim in first.type.tensor_type.shape.dim]
    if 3 not in (sizes[1], sizes[3]):
        raise MaterialError(
            f"the network takes {sizes}: pictures have three channels, first or last"
        )
    return bool(sizes[3] != 3)


def _sides(first: Any, size: tuple[int, int]) -> tuple[list[int], int]:
    """Return height and width, and how many numbers of metadata follow the pixels."""
    sizes = [dim.dim_value for dim in first.type.tensor_type.shape.dim]
    if len(sizes) == 2:
        extra = sizes[1] - 3 * size[0] * size[1]
        if extra < 0 or not all(size):
            raise MaterialError(
                f"pictures of another size than the network's: it takes {sizes[1]:,} numbers, "
                f"pixels and metadata, and {size[1]} x {size[0]} pixels are "
                f"{3 * size[0] * size[1]:,}"
            )
        return list(size), extra
    sides = sizes[2:] if _channels_first(first) else sizes[1:3]
    if not all(sides):
        raise MaterialError(
            "the network takes pictures of any size: export it with a fixed height and width"
        )
    return sides, 0


def _input_nodes(
    first: Any, mean: Sequence[float], scale: Sequence[float], *, extra: int
) -> tuple[list[Any], list[Any]]:
    """Return nodes and constants from `pixels` to the input of the network."""
    from onnx import TensorProto, helper, numpy_helper

    if len(first.type.tensor_type.shape.dim) == 2:
        return _row_nodes(first.name, extra)
    if first.type.tensor_type.elem_type == UINT8:
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


def _row_nodes(name: str, extra: int) -> tuple[list[Any], list[Any]]:
    """Return nodes and constants from `pixels` to one row of bytes, with metadata of 0."""
    from onnx import helper, numpy_helper

    zero = numpy_helper.from_array(np.zeros((), np.uint8), "pixels_zero")
    pads = numpy_helper.from_array(np.array([0, 0, 0, extra], np.int64), "pixels_pads")
    return [
        helper.make_node("Flatten", ["pixels"], ["pixels_row"], axis=1),
        helper.make_node("Pad", ["pixels_row", "pixels_pads", "pixels_zero"], [name]),
    ], [zero, pads]


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


def _check_metadata(made: Any, layer: str) -> None:
    """Raise MaterialError for a truncated network whose layer depends on the metadata."""
    from onnx import numpy_helper

    random = np.random.default_rng(0)
    before = Session(made.SerializeToString())
    (zero,) = (one for one in made.graph.initializer if one.name == "pixels_zero")
    zero.CopyFrom(numpy_helper.from_array(np.ones((), np.uint8), "pixels_zero"))
    images = random.integers(0, 256, (2, *before.shape), np.uint8)
    if not np.array_equal(
        before.predict(images), Session(made.SerializeToString()).predict(images)
    ):
        raise MaterialError(
            f"layer {layer!r} depends on the metadata behind the pixels: name a layer before they "
            "join, with the layer setting"
        )
