"""ONNX graphs written node by node, each named after its operation and its place."""

from __future__ import annotations

from typing import Any

import numpy as np

OPSET, ML_OPSET, IR_VERSION = 17, 3, 8
ML = "ai.onnx.ml"
FLOAT, DOUBLE = 1, 11
"""Types of tensors."""


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

    def second(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Return the name of the second of the two results of a new node."""
        first = self.add(operator, *inputs, **attributes)
        self.nodes[-1].output.append(f"{first}_second")
        return f"{first}_second"

    def trees(self, takes: str, attributes: dict[str, Any]) -> str:
        """Return the name of what a TreeEnsembleRegressor gives. attributes: int, array, tensor."""
        from onnx import helper

        from models.export.forest import attribute

        name = f"trees_{len(self.nodes)}"
        node = helper.make_node("TreeEnsembleRegressor", [takes], [name], name=name, domain=ML)
        node.attribute.extend(attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return name

    def serialise(self, takes: Any, *, labels: int, gives: str = "scores") -> bytes:
        """Return the model from the input `takes` to an output, (n, labels) float32."""
        from onnx import TensorProto, helper

        given = helper.make_tensor_value_info(gives, TensorProto.FLOAT, ["n", labels])
        self.nodes[-1].output[0] = gives
        whole = helper.make_graph(self.nodes, "network", [takes], [given], self.constants)
        opsets = [helper.make_opsetid("", OPSET)]
        if any(node.domain == ML for node in self.nodes):
            opsets.append(helper.make_opsetid(ML, ML_OPSET))
        model = helper.make_model(whole, opset_imports=opsets, ir_version=IR_VERSION)
        return bytes(model.SerializeToString())
