"""A network to go on from: its weights out of the graph that it was exported as."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from training.common.errors import MaterialError
from training.sound_models.spectrogram_net import Spectrogram

if TYPE_CHECKING:
    import numpy.typing as npt

    from training.common.model_settings import Network

    Weights = npt.NDArray[np.float32]


class Member(NamedTuple):
    """The weights of one network of a graph, batch norm folded in."""

    convolutions: list[tuple[Weights, Weights]]
    place: Weights
    head: tuple[Weights, Weights]


def read(
    content: bytes, number: int, settings: Network, typical: torch.Tensor, *, labels: int
) -> Spectrogram:
    """Return network `number` of a graph (modulo their count), in eval mode, ready to be trained.

    content: what `network_onnx.export` gave. typical: spectrograms (n, bands, frames) by which
    batch norm is set so that training begins from the same scores. Raises MaterialError where the
    graph has other layers or labels than the settings.
    """
    found = members(content)
    if not found:
        raise MaterialError("the network to start from has none of the layers of [network]")
    member = found[number % len(found)]
    network = Spectrogram(settings, bands=typical.shape[1], labels=labels)
    network.eval()
    _check(member, network)
    with torch.no_grad():
        _put(network.head, *member.head)
        network.place.copy_(torch.tensor(member.place))
        for convolution, norm, weights in zip(
            network.convolutions, network.norms, member.convolutions, strict=True
        ):
            convolution.weight.copy_(torch.tensor(weights[0]))
            norm.bias.copy_(torch.tensor(weights[1]))
        _unfold(network, typical)
    return network


def members(content: bytes) -> list[Member]:
    """Return the networks of a graph, in their order."""
    import onnx

    graph = onnx.load_from_string(content).graph
    values = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    found: list[Member] = []
    convolutions: list[tuple[Weights, Weights]] = []
    place: Weights = np.zeros(0, np.float32)
    for node in graph.node:
        given = [values[name] for name in node.input if name in values]
        if node.op_type == "Conv" and len(given) == 2:
            convolutions.append((given[0], given[1]))
        elif node.op_type == "Add" and len(convolutions) == 1:
            place = given[0][0]
        elif node.op_type == "Gemm" and convolutions:
            found.append(Member(convolutions, place, (given[0], given[1])))
            convolutions = []
    return found


def _check(member: Member, network: Spectrogram) -> None:
    there = [weights.shape for weights, _ in member.convolutions]
    there += [member.place.shape, member.head[0].shape]
    wanted = [tuple(one.weight.shape) for one in network.convolutions]
    wanted += [tuple(network.place.shape), tuple(network.head.weight.shape)]
    if there != wanted:
        raise MaterialError(
            f"the network to start from has weights of {there}, [network] and the labels {wanted}"
        )


def _put(layer: torch.nn.Linear, weight: Weights, bias: Weights) -> None:
    layer.weight.copy_(torch.tensor(weight))
    layer.bias.copy_(torch.tensor(bias))


def _unfold(network: Spectrogram, typical: torch.Tensor) -> None:
    """Give every batch norm the mean and variance of its input, without a change of its output."""
    for convolution, norm in zip(network.convolutions, network.norms, strict=True):
        seen: list[torch.Tensor] = []
        hook = convolution.register_forward_hook(lambda _m, _i, out, to=seen: to.append(out))
        # A batch norm of mean 0 and variance 1 adds its bias and nothing else.
        norm.running_var.fill_(1 - norm.eps)
        network(typical)
        hook.remove()
        mean, variance = seen[0].mean((0, 2, 3)), seen[0].var((0, 2, 3))
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)
