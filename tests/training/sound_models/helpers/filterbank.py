"""A small network from samples to an embedding: the level in each of some bands."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

BANDS = 12


def filterbank(path, *, window, name="wave", outputs=("embedding", "tags"), nan=False):
    """Write the network; `tags` is another output, as published networks have."""
    hertz = np.geomspace(80, 8_000, BANDS)
    time = np.arange(256) / 22_050
    filters = np.stack([np.cos(2 * np.pi * each * time) for each in hertz])[:, None] / 256
    nodes = [
        helper.make_node("Unsqueeze", [name, "axis"], ["channel"]),
        helper.make_node("Conv", ["channel", "filters"], ["filtered"], strides=[64]),
        helper.make_node("Abs", ["filtered"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["level"], axes=[2], keepdims=0),
        helper.make_node("Add", ["level", "floor"], ["raised"]),
        helper.make_node("Log", ["raised"], [outputs[0]]),
        *(helper.make_node("Neg", [outputs[0]], [other]) for other in outputs[1:]),
    ]
    numbers = {
        "axis": np.int64([1]),
        "filters": filters.astype(np.float32),
        "floor": np.float32([-1.0 if nan else 1e-4]),
    }
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "filterbank",
        [helper.make_tensor_value_info(name, kind, ["n", window])],
        [helper.make_tensor_value_info(each, kind, ["n", BANDS]) for each in outputs],
        [numpy_helper.from_array(value, key) for key, value in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def by_level(path, *, window, peak=0.0):
    """Write the network behind a division by how far the peak is from a number, and that is 0."""
    model = onnx.load(filterbank(path, window=window))
    nodes = [
        helper.make_node("Abs", ["wave"], ["sizes"]),
        helper.make_node("ReduceMax", ["sizes"], ["peak"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["peak", "limit"], ["over"]),
        helper.make_node("Div", ["wave", "over"], ["even"]),
    ]
    model.graph.node[0].input[0] = "even"
    rest = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*nodes, *rest])
    model.graph.initializer.append(numpy_helper.from_array(np.float32([peak]), "limit"))
    onnx.save(model, path)
    return path
