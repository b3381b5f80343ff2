"""Scaler, PCA and one random forest for all labels, on the 26 features."""

from __future__ import annotations

import warnings
from copy import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from features.config import DEFAULT, AudioConfig
from models.export.forest import export, predict_proba
from training.common.errors import MaterialError
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
    oob: dict[str, float] = field(default_factory=dict)
    """`score`, scikit-learn's oob_score_: training windows all of whose labels are right by the
    trees that did not draw them; `elementwise`: their right labels; `windows`: how many there are.
    """

    def scores(self, rows: npt.NDArray[np.float32]) -> Scores:
        """Return P(label), (n, labels), of feature vectors (n, 26)."""
        return np.asarray(
            predict_proba(self.forest, rows, scaler=self.scaler, pca=self.pca), np.float32
        )

    def pipeline(self) -> Any:
        """Return all three as a scikit-learn pipeline."""
        from sklearn.pipeline import Pipeline

        steps = [("scaler", self.scaler), ("pca", self.pca), ("forest", self.forest)]
        return Pipeline([(name, step) for name, step in steps if step is not None])

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

    held_out: windows for the history; without them it is empty. Raises MaterialError for settings
    that these windows do not allow.
    """
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.preprocessing import StandardScaler

    chosen = np.random.default_rng(seed).permutation(len(rows))[: settings.rows]
    exact, labels = rows[chosen].astype(np.float64), labels[chosen]
    _check(settings, labels)
    scaler = StandardScaler().fit(exact)
    projected = scaler.transform(exact)
    pca = None
    if settings.components:
        pca = PCA(settings.components, random_state=seed).fit(projected)
        projected = pca.transform(projected)
    forest = RandomForestClassifier(**settings.parameters(), random_state=seed, n_jobs=jobs)
    with warnings.catch_warnings():
        # Windows that every tree has drawn are left out, and counted.
        warnings.filterwarnings("ignore", "Some inputs do not have OOB scores")
        forest.fit(projected, labels.ravel() if labels.shape[1] == 1 else labels)
    return FittedForest(
        scaler,
        pca,
        forest,
        _history(scaler, pca, forest, held_out) if held_out else [],
        _out_of_bag(forest, labels) if settings.oob_score else {},
    )


def _check(settings: Forest, labels: Mask) -> None:
    if isinstance(settings.max_samples, int) and settings.max_samples > len(labels):
        raise MaterialError(
            f"forest.max_samples={settings.max_samples}: there are {len(labels)} training windows"
        )
    if settings.oob_score and not np.all((on := labels.sum(axis=0)) * (len(labels) - on)):
        raise MaterialError(
            "forest.oob_score needs each label to be on in some training windows and off in others"
        )


def _out_of_bag(forest: Any, labels: Mask) -> dict[str, float]:
    """Return the out-of-bag figures of a forest fitted with oob_score."""
    decision = forest.oob_decision_function_.reshape(len(labels), 2, -1)
    # Windows without a vote have zeros for both values of a label.
    voted = decision[:, :, 0].sum(axis=1) > 0
    right = (decision.argmax(axis=1) == labels)[voted]
    return {
        "score": float(forest.oob_score_),
        "elementwise": float(right.mean()) if right.size else 0.0,
        "windows": float(voted.sum()),
    }


def _history(scaler: Any, pca: Any, forest: Any, held_out: HeldOut) -> list[HistoryEntry]:
    """Return held-out metrics of the first 1, 2, 5, ... trees: prefixes of a forest are forests."""
    history = []
    for trees in sorted({min(step, len(forest.estimators_)) for step in STEPS}):
        part = copy(forest).set_params(n_estimators=trees)
        part.estimators_ = forest.estimators_[:trees]
        scores = FittedForest(scaler, pca, part, []).scores(held_out[0])
        history.append({"trees": float(trees), **held_out_metrics(scores, held_out[1])})
    return history
