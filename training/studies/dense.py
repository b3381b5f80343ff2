"""The networks that the studies compare: small ones on 26 features, one on the log-mel."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from training.common.recipe import load
from training.sound_models import network

if TYPE_CHECKING:
    import numpy.typing as npt

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


@dataclass
class LogMel:
    """The network of the recipe `instruments`, one member, on spectrograms."""

    seed: int
    epochs: int
    fitted: Any = None

    def fit(self, rows: npt.NDArray[Any], labels: Mask) -> None:
        """Learn from (n, bands, frames) in dB."""
        settings = replace(load("instruments").network, members=1, epochs=self.epochs, single=0.0)
        settings = replace(settings, batch=min(settings.batch, len(rows)))
        self.fitted = network.fit(rows, labels, np.arange(len(rows)), settings, seed=self.seed)

    def scores(self, rows: npt.NDArray[Any]) -> Scores:
        """Return scores of spectrograms."""
        scores: Scores = self.fitted.scores(rows)
        return scores
