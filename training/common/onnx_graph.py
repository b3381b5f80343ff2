"""ONNX graphs written node by node, each named after its operation and its place."""

from __future__ import annotations

from typing import Any

import numpy as np

OPSET, IR_VERSION = 17, 8


class Graph:
    """Nodes and constants of a graph in the making."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any) -> str:
        """Return the name of a constant array."""
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Return the name of what a new node gives."""
        from onnx import helper

        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def serialise(self, takes: Any, *, labels: int) -> bytes:
        """Return the model from the input `takes` to `scores`, (n, labels) float32."""
        from onnx import TensorProto, helper

        gives = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", labels])
        self.nodes[-1].output[0] = "scores"
        whole = helper.make_graph(self.nodes, "network", [takes], [gives], self.constants)
        model = helper.make_model(
            whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        return bytes(model.SerializeToString())
