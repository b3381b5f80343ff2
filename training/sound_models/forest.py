"""Scaler, PCA and one random forest for all labels, on the 26 features."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from features.config import DEFAULT, AudioConfig
from models.forest import export, predict_proba
from training.evaluation.leave_one_out import held_out_metrics

if TYPE_CHECKING:
    import numpy.typing as npt

    from training.common.model_settings import Forest
    from training.evaluation.leave_one_out import HeldOut, HistoryEntry
    from training.evaluation.metrics import Mask, Scores

STEPS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class FittedForest:
    """scikit-learn's three estimators, fitted one on the other's output."""

    scaler: Any
    pca: Any
    forest: Any
    history: list[HistoryEntry]
    """What more and more trees bring."""

    def scores(self, rows: npt.NDArray[np.float32]) -> Scores:
        """Return P(label), (n, labels), of feature vectors (n, 26)."""
        return np.asarray(
            predict_proba(self.forest, rows, scaler=self.scaler, pca=self.pca), np.float32
        )

    def pipeline(self) -> Any:
        """Return all three as a scikit-learn pipeline."""
        from sklearn.pipeline import Pipeline

        return Pipeline([("scaler", self.scaler), ("pca", self.pca), ("forest", self.forest)])

    def onnx(self, config: AudioConfig = DEFAULT) -> bytes:
        """Return all three as one graph; its input has the same shape in every configuration."""
        del config
        return export(self.forest, scaler=self.scaler, pca=self.pca)


def fit(
    rows: npt.NDArray[np.float32],
    labels: Mask,
    settings: Forest,
    *,
    seed: int,
    jobs: int = 1,
    held_out: HeldOut | None = None,
) -> FittedForest:
    """Return the estimators fitted on feature vectors (n, 26) and labels (n, labels).

    held_out: windows for the history; without them it is empty.
    """
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.preprocessing import StandardScaler

    chosen = np.random.default_rng(seed).permutation(len(rows))[: settings.rows]
    exact, labels = rows[chosen].astype(np.float64), labels[chosen]
    scaler = StandardScaler().fit(exact)
    pca = PCA(settings.components, random_state=seed).fit(scaler.transform(exact))
    forest = RandomForestClassifier(
        settings.trees,
        max_leaf_nodes=settings.leaves,
        min_samples_split=settings.min_samples_split,
        max_features="sqrt",
        random_state=seed,
        n_jobs=jobs,
    )
    forest.fit(
        pca.transform(scaler.transform(exact)), labels.ravel() if labels.shape[1] == 1 else labels
    )
    return FittedForest(
        scaler, pca, forest, _history(scaler, pca, forest, held_out) if held_out else []
    )


def _history(scaler: Any, pca: Any, forest: Any, held_out: HeldOut) -> list[HistoryEntry]:
    """Return held-out metrics of the first 1, 2, 5, ... trees: prefixes of a forest are forests."""
    history = []
    for trees in sorted({min(step, len(forest.estimators_)) for step in STEPS}):
        part = copy(forest).set_params(n_estimators=trees)
        part.estimators_ = forest.estimators_[:trees]
        scores = FittedForest(scaler, pca, part, []).scores(held_out[0])
        history.append({"trees": float(trees), **held_out_metrics(scores, held_out[1])})
    return history
