"""Exports a Keras network to ONNX: from pixels followed by metadata to scores."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from common.errors import ArtefactError
from models.session import Session
from training.pictures.learn.network import softmax

if TYPE_CHECKING:
    import numpy.typing as npt

    from features.config import PictureConfig
    from training.pictures.learn.fit import TrainingData
    from training.pictures.transfer.transfer import TransferNetwork

OPSET = 17
TOLERANCE = 1e-4
MAX_BATCH = 4096
"""Maximum batch that the graph is traced for."""


def export(
    learner: TransferNetwork,
    config: PictureConfig,
    temperature: float,
    material: TrainingData,
    rows: npt.NDArray[np.int64],
) -> bytes:
    """Return the graph from uint8 (n, *config.shape) to `scores`, float32 (n, labels).

    rows: of pictures to compare with. Raises ArtefactError if scores differ from Keras's by more
    than 1e-4.
    """
    content = written(_module(learner, config, temperature), config.shape, gives="scores")
    tensors = stacked(material, rows, config)
    expected = softmax(learner.logits(material, rows) / np.float32(temperature))
    difference = float(np.abs(Session(content).predict(tensors) - expected).max())
    if not difference <= TOLERANCE:
        raise ArtefactError(f"the graph's scores differ from the network's by {difference:.2g}")
    return content


def stacked(
    material: TrainingData, rows: npt.NDArray[np.int64], config: PictureConfig
) -> npt.NDArray[np.uint8]:
    """Return the tensors (n, *config.shape) of pictures, as `features.picture.tensor` does."""
    images = np.asarray(material.images[rows])
    if not config.metadata:
        return images
    return np.concatenate([images.reshape(len(images), -1), material.facts[rows]], axis=1)


def _module(learner: TransferNetwork, config: PictureConfig, temperature: float) -> Any:
    import torch

    height, width, pixels = config.height, config.width, 3 * config.height * config.width

    class Whole(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.model = learner.model

        def forward(self, x: Any) -> Any:
            x = x.float()
            takes = (
                [x[:, :pixels].reshape(-1, height, width, 3), x[:, pixels:]]
                if config.metadata
                else x
            )
            return torch.softmax(self.model(takes, training=False) / temperature, dim=1)

    return Whole().eval()


def written(
    module: Any, shape: tuple[int, ...], *, gives: str, dtype: type[np.generic] = np.uint8
) -> bytes:
    """Return the ONNX graph of a torch module, from `pixels`, dtype (n, *shape), to `gives`."""
    import torch

    numbers = np.random.default_rng(0).integers(0, 256, (2, *shape), np.uint8)
    example = torch.from_numpy(numbers.astype(dtype))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter(
            "ignore"
        )  # tracing warns of every shape it takes for a constant; they are compared
        try:
            return _traced(module, example, gives)
        except Exception:  # noqa: BLE001 some shapes cannot be traced, only exported first
            batch = torch.export.Dim("n", min=1, max=MAX_BATCH)
            exported = torch.export.export(
                module, (example,), dynamic_shapes=({0: batch},), strict=False
            )
            plain = exported.run_decompositions({}).module()
            # It is for inference only, but raises when train() is called.
            plain.train = lambda _mode=True: plain
            torch.onnx.register_custom_op_symbolic("aten::_to_copy", _cast(), OPSET)
            return _traced(plain, example, gives)


def _cast() -> Any:
    """Return the ONNX symbolic of `torch.export`'s type cast, which torch lacks."""
    from torch.onnx import JitScalarType, symbolic_helper

    def cast(graph: Any, x: Any, dtype: int | None, *_rest: Any) -> Any:
        return x if dtype is None else graph.op("Cast", x, to_i=JitScalarType(dtype).onnx_type())

    return symbolic_helper.parse_args("v", "i", "v", "v", "v", "v", "v")(cast)


def _traced(module: Any, example: Any, gives: str) -> bytes:
    import torch

    buffer = io.BytesIO()
    names: dict[str, Any] = {"input_names": ["pixels"], "output_names": [gives]}
    axes = {"pixels": {0: "n"}, gives: {0: "n"}}
    torch.onnx.export(
        module, (example,), buffer, dynamo=False, opset_version=OPSET, dynamic_axes=axes, **names
    )
    return buffer.getvalue()
