"""Small dense networks on the 26 features, for studies and as artefacts."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from common.errors import ArtefactError
from features.config import DEFAULT, AudioConfig
from models.export.onnx_graph import DOUBLE, FLOAT, Graph
from models.session import Session
from training.common.recipe import RecipeError
from training.common.standard import mean_and_scale

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from training.evaluation.leave_one_out import HistoryEntry
    from training.evaluation.metrics import Mask, Scores

ORIGINAL_PARAMETERS = 122_000
"""Parameters of the original work's network. Its layout is not known; here two hidden layers of one
width."""
BATCH = 256


def width(inputs: int, labels: int, *, parameters: int = ORIGINAL_PARAMETERS) -> int:
    """Return the width of two equal hidden layers for a total number of parameters.

    (inputs + 1) w + (w + 1) w + (w + 1) labels = parameters, solved for w.
    """
    b = inputs + 2 + labels
    return round((math.sqrt(b * b + 4 * (parameters - labels)) - b) / 2)


def named(inputs: int, labels: int) -> nn.Module:
    """Return the network of about 122,000 parameters."""
    hidden = width(inputs, labels)
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.ReLU(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, labels),
    )


def experimental(inputs: int, labels: int) -> nn.Module:
    """Return a network of convolutions over the vector of features, with few parameters."""
    return nn.Sequential(
        nn.Unflatten(1, (1, inputs)), nn.Conv1d(1, 8, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(8, 16, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(4), nn.Flatten(),
        nn.Linear(64, labels),
    )  # fmt: skip


def ours(inputs: int, labels: int) -> nn.Module:
    """Return what learns most from 26 numbers here: batch norm, dropout, three layers."""
    layers: list[nn.Module] = []
    for before in (inputs, 256, 256):
        layers += [nn.Linear(before, 256), nn.BatchNorm1d(256), nn.ReLU(), nn.Dropout(0.3)]
    return nn.Sequential(*layers, nn.Linear(256, labels))


SHAPES = {
    "neural network, 122,000 parameters": named,
    "experimental neural network": experimental,
    "network on 26 features": ours,
}


MODELS = {
    "dense": "neural network, 122,000 parameters",
    "dense-dropout": "network on 26 features",
}
"""The networks of SHAPES that recipes train, by their names there."""
EPOCHS = 30
TYPICAL = 400
"""Training windows on which the graph is compared with torch."""
TOLERANCE = 1e-5


@dataclass
class Dense:
    """A network of SHAPES that learns from standardised rows."""

    shape: str
    seed: int
    epochs: int
    module: Any = None
    history: list[float] = field(default_factory=list)

    def fit(self, rows: npt.NDArray[Any], labels: Mask) -> None:
        """Learn with AdamW along one cycle of the learning rate."""
        torch.manual_seed(self.seed)
        x, on = (
            torch.from_numpy(rows.astype(np.float32)),
            torch.from_numpy(labels.astype(np.float32)),
        )
        self.module = SHAPES[self.shape](x.shape[1], on.shape[1])
        size = min(BATCH, len(x))
        steps = self.epochs * (len(x) // size)
        optimizer = torch.optim.AdamW(self.module.parameters(), weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps + 1)
        for _ in range(self.epochs):
            order = torch.randperm(len(x))[: len(x) // size * size].reshape(-1, size)
            self.history.append(
                float(
                    np.mean([self._step(x[some], on[some], optimizer, schedule) for some in order])
                )
            )
        self.module.eval()

    def _step(self, x: torch.Tensor, on: torch.Tensor, optimizer: Any, schedule: Any) -> float:
        loss = functional.binary_cross_entropy_with_logits(self.module(x), on)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        return float(loss.item())

    def scores(self, rows: npt.NDArray[Any]) -> Scores:
        """Return the logistic of the outputs."""
        with torch.inference_mode():
            return np.asarray(
                self.module(torch.from_numpy(rows.astype(np.float32))).sigmoid().numpy()
            )


@dataclass(frozen=True)
class FittedDense:
    """A network and the standardisation before it."""

    learner: Dense
    mean: npt.NDArray[np.float64]
    scale: npt.NDArray[np.float64]
    rows: npt.NDArray[np.float32]
    """Typical training windows."""

    @property
    def history(self) -> list[HistoryEntry]:
        """The training loss of each epoch."""
        return [{"loss": loss} for loss in self.learner.history]

    def scores(self, rows: npt.NDArray[np.float32]) -> Scores:
        """Return P(label), (n, labels), of feature vectors (n, 26)."""
        return self.learner.scores((rows.astype(np.float64) - self.mean) / self.scale)

    def onnx(self, config: AudioConfig = DEFAULT) -> bytes:
        """Return the graph; its input has the same shape in every configuration.

        Raises ArtefactError if it differs from torch by more than 1e-5 on typical rows.
        """
        from onnx import helper

        del config
        graph = Graph()
        x = graph.add("Cast", "features", to=DOUBLE)
        x = graph.add("Sub", x, graph.constant(self.mean))
        x = graph.add("Cast", graph.add("Div", x, graph.constant(self.scale)), to=FLOAT)
        for layer in self.learner.module:
            x = _layer(graph, x, layer)
        graph.add("Sigmoid", x)
        takes = helper.make_tensor_value_info("features", FLOAT, ["n", len(self.mean)])
        content = graph.serialise(takes, labels=self.learner.module[-1].out_features)
        difference = np.abs(Session(content).predict(self.rows) - self.scores(self.rows)).max()
        if not difference <= TOLERANCE:
            raise ArtefactError(f"the graph's scores differ from torch's by {difference:.2g}")
        return content


def fit(
    name: str,
    rows: npt.NDArray[np.float32],
    labels: Mask,
    settings: Mapping[str, Any],
    *,
    seed: int,
    most: int,
) -> FittedDense:
    """Return a network of MODELS fitted on feature vectors (n, 26), at most `most` of them.

    settings: epochs. Raises RecipeError.
    """
    chosen = np.random.default_rng(seed).permutation(len(rows))[:most]
    exact = rows[chosen].astype(np.float64)
    mean, scale = mean_and_scale(exact)
    learner = Dense(MODELS[name], seed, epochs_of(name, settings))
    learner.fit((exact - mean) / scale, labels[chosen])
    return FittedDense(learner, mean, scale, rows[chosen[:TYPICAL]])


def epochs_of(name: str, settings: Mapping[str, Any]) -> int:
    """Return the epochs that [estimators.NAME] asks for. Raises RecipeError."""
    if unknown := sorted(settings.keys() - {"epochs"}):
        raise RecipeError(f"estimators.{name}: unknown setting {', '.join(unknown)}; known: epochs")
    given = settings.get("epochs", EPOCHS)
    if not str(given).isdecimal() or int(given) < 1:
        raise RecipeError(f"estimators.{name}.epochs={given!r} must be a whole number of 1 or more")
    return int(given)


def _layer(graph: Graph, x: str, layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        weight, bias = (graph.constant(v.detach().numpy()) for v in (layer.weight, layer.bias))
        return graph.add("Gemm", x, weight, bias, transB=1)
    if isinstance(layer, nn.BatchNorm1d):
        mean, variance = layer.running_mean, layer.running_var
        assert mean is not None
        assert variance is not None
        scale = (layer.weight / torch.sqrt(variance + layer.eps)).detach().numpy()
        shift = layer.bias.detach().numpy() - mean.numpy() * scale
        return graph.add("Add", graph.add("Mul", x, graph.constant(scale)), graph.constant(shift))
    if isinstance(layer, nn.ReLU):
        return graph.add("Relu", x)
    assert isinstance(layer, nn.Dropout)
    return x
