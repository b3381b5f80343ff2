"""A small network from Timbre's log-mel spectrogram to an embedding: the mean of each band."""

import onnx
from onnx import helper


def spectrogram_means(path, *, bands=128, frames="frames"):
    """Write the network."""
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["log_mel"], ["embedding"], axes=[2], keepdims=0)],
        "means",
        [helper.make_tensor_value_info("log_mel", kind, ["n", bands, frames])],
        [helper.make_tensor_value_info("embedding", kind, ["n", "numbers"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path
