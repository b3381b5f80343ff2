"""A model that never returns on loud sound."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from features.extract import FEATURE_NAMES
from models.artefact import write
from models.manifest import Label
from tests.service.conftest import COMMON

LOUD = 0.6
"""RMS from which it runs for ever."""


def write_endless(folder, *, name="endless"):
    """Write the artefact; its golden inputs are silent."""
    labels = [Label(name=label, threshold=0.5) for label in ("tone", "noise")]
    silent = np.zeros((2, len(FEATURE_NAMES)), np.float32)
    return write(
        folder,
        name=name,
        kind="features",
        labels=labels,
        onnx=_graph(),
        golden_inputs=silent,
        **COMMON,
    )


def _graph():
    def tensor(name, kind=TensorProto.FLOAT, shape=("n", 2)):
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [
            helper.make_node("Identity", ["on"], ["still_on"]),
            helper.make_node("Identity", ["before"], ["after"]),
        ],
        "body",
        [
            tensor("step", TensorProto.INT64, []),
            tensor("on", TensorProto.BOOL, []),
            tensor("before"),
        ],
        [tensor("still_on", TensorProto.BOOL, []), tensor("after")],
    )
    constants = {
        "index": np.array(FEATURE_NAMES.index("rms")),
        "loud": np.array(LOUD, np.float32),
        "endless": np.array(2**62),
        "once": np.array(1),
        "true": np.array(True),
        "weights": np.zeros((len(FEATURE_NAMES), 2), np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["row", "index"], ["rms"], axis=1),
        helper.make_node("ReduceMax", ["rms"], ["most"], keepdims=0),
        helper.make_node("Greater", ["most", "loud"], ["is_loud"]),
        helper.make_node("Where", ["is_loud", "endless", "once"], ["steps"]),
        helper.make_node("MatMul", ["row", "weights"], ["sums"]),
        helper.make_node("Sigmoid", ["sums"], ["first"]),
        helper.make_node("Loop", ["steps", "true", "first"], ["scores"], body=body),
    ]
    graph = helper.make_graph(
        nodes,
        "endless",
        [tensor("row", shape=("n", len(FEATURE_NAMES)))],
        [tensor("scores")],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()
