"""Exports a truncated network and a support vector machine as one ONNX graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import ArtefactError
from models.session import Session
from training.pictures.embeddings.layer_onnx import DESCRIPTOR

if TYPE_CHECKING:
    from training.pictures.embeddings.svm import Svm

TOLERANCE = 1e-4


def export(network: bytes, machine: Svm) -> bytes:
    """Return the graph from `pixels`, uint8 (n, height, width, 3), to `scores`, (n, classes).

    network: made by `layer_onnx.truncate`. Raises ArtefactError if scores differ
    by more than 1e-4 from the machine's on the network's descriptors.
    """
    import onnx
    from onnx import TensorProto, helper

    model = onnx.load_from_string(network)
    graph = model.graph
    parts = _Parts()
    _machine(parts, machine)
    graph.node.extend(parts.nodes)
    graph.initializer.extend(parts.constants)
    del graph.output[:]
    graph.output.append(
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n", len(machine.offsets)])
    )
    content = bytes(model.SerializeToString())
    _check(content, network, machine)
    return content


class _Parts:
    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any) -> str:
        from onnx import numpy_helper

        name = f"svm_constant_{len(self.constants)}"
        self.constants.append(
            numpy_helper.from_array(np.ascontiguousarray(value, np.float32), name)
        )
        return name

    def add(self, operator: str, *inputs: str, to: str = "") -> str:
        from onnx import helper

        name = to or f"svm_{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name))
        return name


def _machine(parts: _Parts, machine: Svm) -> None:
    x = parts.add("Sub", DESCRIPTOR, parts.constant(machine.mean))
    x = parts.add("Div", x, parts.constant(machine.scale))
    gamma = machine.point.gamma / len(machine.mean)
    if machine.point.kernel == "linear":
        # The sum over the support vectors is one vector a class.
        decided = parts.add(
            "MatMul", x, parts.constant(gamma * machine.support.T @ machine.weights)
        )
    else:
        products = parts.add("MatMul", x, parts.constant(gamma * machine.support.T))
        similar = (
            parts.add("Tanh", products)
            if machine.point.kernel == "sigmoid"
            else _gauss(parts, x, products, machine)
        )
        decided = parts.add("MatMul", similar, parts.constant(machine.weights))
    decided = parts.add("Add", decided, parts.constant(machine.offsets))
    decided = parts.add("Mul", decided, parts.constant(np.float32(machine.sharpness)))
    parts.add("Softmax", decided, to="scores")  # over the last axis


def _gauss(parts: _Parts, x: str, products: str, machine: Svm) -> str:
    """Add exp(-gamma |x - y|^2) from the products gamma x y."""
    gamma = machine.point.gamma / len(machine.mean)
    own = parts.add(
        "MatMul", parts.add("Mul", x, x), parts.constant(np.full((len(machine.mean), 1), gamma))
    )
    far = parts.add("Add", own, parts.constant(gamma * np.square(machine.support).sum(axis=1)))
    twice = parts.add("Mul", products, parts.constant(np.float32(2)))
    return parts.add(
        "Exp", parts.add("Min", parts.add("Sub", twice, far), parts.constant(np.float32(0)))
    )


def _check(content: bytes, network: bytes, machine: Svm) -> None:
    whole, layer = Session(content), Session(network)
    images = np.random.default_rng(0).integers(0, 256, (4, *whole.shape), np.uint8)
    difference = float(np.abs(whole.predict(images) - machine.scores(layer.predict(images))).max())
    if not difference <= TOLERANCE:
        raise ArtefactError(
            f"the graph's scores differ from the support vector machine's by {difference:.2g}"
        )
