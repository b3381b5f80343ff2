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
