"""A model on the samples of a window."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from features.config import DEFAULT
from models.artefact import write
from models.manifest import Label
from tests.service.conftest import COMMON


def write_loudness(folder):
    """Write a model `loudness` of the label `loud`: how much of the window is far from zero."""
    nodes = [
        helper.make_node("Abs", ["samples"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["level"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["level", "slope"], ["steep"]),
        helper.make_node("Add", ["steep", "offset"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["scores"]),
    ]
    numbers = {"slope": [40.0], "offset": [-2.0]}
    inputs = [helper.make_tensor_value_info("samples", onnx.TensorProto.FLOAT, ["n", 44_100])]
    outputs = [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["n", 1])]
    graph = helper.make_graph(
        nodes,
        "loudness",
        inputs,
        outputs,
        [numpy_helper.from_array(np.float32(value), name) for name, value in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    write(
        folder,
        name="loudness",
        kind="samples",
        config=DEFAULT,
        labels=[Label(name="loud", threshold=0.5)],
        onnx=model.SerializeToString(),
        golden_inputs=np.linspace(-1, 1, 4 * 44_100, dtype=np.float32).reshape(4, -1),
        **COMMON,
    )
    return folder
