"""How much arithmetic a graph is: what its speed comes to on any machine."""

import math

import onnx


def multiplications(graph):
    """Return the millions of multiplications in convolutions and matrix products per window."""
    model = onnx.load_from_string(graph)
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    shapes = {each.name: list(each.dims) for each in inferred.initializer}
    for each in (*inferred.input, *inferred.value_info, *inferred.output):
        shapes[each.name] = [size.dim_value for size in each.type.tensor_type.shape.dim]
    count = 0
    for node in inferred.node:
        if node.op_type == "Conv":
            weights = shapes[node.input[1]]
            count += math.prod(shapes[node.output[0]]) * math.prod(weights[1:])
        elif node.op_type in {"Gemm", "MatMul"}:
            count += math.prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    return count / 1e6
