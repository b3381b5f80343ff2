"""The network as an ONNX graph, batch norm folded in: normalisation to the mean of members."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from common.errors import ArtefactError
from models.export.onnx_graph import Graph
from models.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from training.sound_models.spectrogram_net import Spectrogram

TOLERANCE = 1e-4


def export(members: list[Spectrogram], *, bands: int, frames: int) -> bytes:
    """Return the graph from `log_mel` (n, bands, frames) float32 to `scores` (n, labels) float32.

    Raises ArtefactError if its scores differ from torch's by more than 1e-4.
    """
    graph = Graph()
    graph.add("Mean", *(_scores(graph, member) for member in members))
    labels = members[0].head.out_features - 1
    content = _model(graph, bands=bands, frames=frames, columns=labels)

    def expected(x: torch.Tensor) -> torch.Tensor:
        return torch.stack([member.scores(x) for member in members]).mean(0)

    _check(content, expected, bands=bands, frames=frames)
    return content


def export_embedding(network: Spectrogram, *, bands: int, frames: int) -> bytes:
    """Return the graph from `log_mel` to the logits themselves, named `embedding`, (n, numbers).

    It takes any number of frames. Raises ArtefactError if its logits of so many frames differ from
    torch's by more than 1e-4.
    """
    import onnx

    graph = Graph()
    _logits(graph, network)
    numbers = network.head.out_features
    content = _model(graph, bands=bands, frames=frames, columns=numbers, gives="embedding")
    _check(content, network, bands=bands, frames=frames)
    model = onnx.load_from_string(content)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "frames"
    return bytes(model.SerializeToString())


def _scores(graph: Graph, network: Spectrogram) -> str:
    """Add one network, from the input to its scores."""
    parts = graph.add("Sigmoid", _logits(graph, network))
    labels = graph.constant(np.array([len(network.head.bias) - 1], np.int64))
    start, end, axis = (graph.constant(np.array([value], np.int64)) for value in (0, 2**31, 1))
    each = graph.add("Slice", parts, start, labels, axis)
    return graph.add("Mul", each, graph.add("Slice", parts, labels, end, axis))


def _logits(graph: Graph, network: Spectrogram) -> str:
    """Add one network, from the input to its logits."""
    depth = np.float32(network.depth_db)
    relative = graph.add(
        "Sub", "log_mel", graph.add("ReduceMax", "log_mel", axes=[1, 2], keepdims=1)
    )
    clipped = graph.add("Clip", relative, graph.constant(-depth), graph.constant(np.float32(0)))
    x = graph.add(
        "Add", graph.add("Mul", clipped, graph.constant(2 / depth)), graph.constant(np.float32(1))
    )
    x = graph.add("Unsqueeze", x, graph.constant(np.array([1], np.int64)))
    for number, (convolution, norm) in enumerate(
        zip(network.convolutions, network.norms, strict=True)
    ):
        weight, bias = (graph.constant(value) for value in _folded(convolution, norm))
        x = graph.add("Conv", x, weight, bias, strides=list(convolution.stride), pads=[1, 1, 1, 1])
        if number == 0:
            x = graph.add("Add", x, graph.constant(network.place.detach().numpy()[None]))
        x = graph.add("Relu", x)
    pooled = [
        graph.add("Flatten", graph.add(how, x, axes=[3], keepdims=0))
        for how in ("ReduceMean", "ReduceMax")
    ]
    weight, bias = (
        graph.constant(value.detach().numpy()) for value in (network.head.weight, network.head.bias)
    )
    return graph.add("Gemm", graph.add("Concat", *pooled, axis=1), weight, bias, transB=1)


def _folded(convolution: Any, norm: Any) -> tuple[Any, Any]:
    """Return weight and bias of a convolution that does what it and its batch norm did."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = convolution.weight * scale[:, None, None, None]
    return weight.detach().contiguous().numpy(), (
        norm.bias - norm.running_mean * scale
    ).detach().numpy()


def _model(graph: Graph, *, bands: int, frames: int, columns: int, gives: str = "scores") -> bytes:
    from onnx import TensorProto, helper

    takes = helper.make_tensor_value_info("log_mel", TensorProto.FLOAT, ["n", bands, frames])
    return graph.serialise(takes, labels=columns, gives=gives)


def _check(
    content: bytes, expected: Callable[[torch.Tensor], torch.Tensor], *, bands: int, frames: int
) -> None:
    x = np.random.default_rng(0).uniform(-100, 40, (8, bands, frames)).astype(np.float32)
    with torch.inference_mode():
        wanted = expected(torch.from_numpy(x)).numpy()
    difference = float(np.abs(Session(content).predict(x) - wanted).max())
    if not difference <= TOLERANCE:
        raise ArtefactError(f"the graph's output differs from the network's by {difference:.2g}")
