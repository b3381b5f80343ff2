"""Scaler, PCA and one random forest for all labels, on the 26 features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.forest import export, predict_proba

if TYPE_CHECKING:
    import numpy.typing as npt

    from training.evaluate import Mask, Scores
    from training.recipe import Forest


@dataclass(frozen=True)
class FittedForest:
    """scikit-learn's three estimators, fitted one on the other's output."""

    scaler: Any
    pca: Any
    forest: Any

    def scores(self, rows: npt.NDArray[np.float32]) -> Scores:
        """Return P(label), (n, labels), of feature vectors (n, 26)."""
        return np.asarray(predict_proba(self.forest, rows, scaler=self.scaler, pca=self.pca), np.float32)

    def onnx(self) -> bytes:
        """Return all three as one graph."""
        return export(self.forest, scaler=self.scaler, pca=self.pca)


def fit(rows: npt.NDArray[np.float32], labels: Mask, settings: Forest, *, seed: int, jobs: int = 1) -> FittedForest:
    """Return the estimators fitted on feature vectors (n, 26) and labels (n, labels)."""
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
    return FittedForest(scaler, pca, forest.fit(pca.transform(scaler.transform(exact)), labels))
