"""A network for descriptors that takes no training."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def network_by_chance(path):
    """Write convolutions by chance on 16 x 16 pixels, pooled to 4 x 4 places; return the path."""
    weight = np.random.default_rng(0).normal(size=(12, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["maps"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["maps"], ["relu"]),
        helper.make_node("AveragePool", ["relu"], ["pooled"], kernel_shape=[4, 4], strides=[4, 4]),
    ]
    takes = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 16, 16])
    gives = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, [1, 12, 4, 4])
    held = [numpy_helper.from_array(weight, "weight")]
    graph = helper.make_graph(nodes, "toy", [takes], [gives], held)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path
