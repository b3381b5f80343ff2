"""The network of the recipe `instruments` as one of the models that the studies compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from training.common.recipe import load
from training.sound_models import network

if TYPE_CHECKING:
    import numpy.typing as npt

    from training.evaluation.metrics import Mask, Scores


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
