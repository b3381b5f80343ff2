"""Models of scikit-learn and LightGBM with one interface: fit, then scores in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from training.evaluation.metrics import Mask, Scores

COMPONENTS = 16
"""What the original work kept of the 26."""


class Learner(Protocol):
    """Learns from rows (n, ...) and labels bool (n, labels)."""

    def fit(self, rows: npt.NDArray[Any], labels: Mask) -> object:
        """Learn."""

    def scores(self, rows: npt.NDArray[Any]) -> Scores:
        """Return scores (n, labels) in [0, 1]."""


@dataclass
class AllAtOnce:
    """An estimator that takes all labels together."""

    estimator: Any

    def fit(self, rows: npt.NDArray[Any], labels: Mask) -> None:
        """Learn."""
        self.estimator.fit(rows, labels if labels.shape[1] > 1 else labels[:, 0])

    def scores(self, rows: npt.NDArray[Any]) -> Scores:
        """Return P(label)."""
        predicted, classes = self.estimator.predict_proba(rows), self.estimator.classes_
        if not isinstance(predicted, list):
            predicted, classes = [predicted], [classes]
        pairs = zip(predicted, classes, strict=True)
        return np.stack([_of_true(p, list(c)) for p, c in pairs], axis=1).astype(np.float32)


@dataclass
class OneByOne:
    """One estimator per label; a label that is always or never on needs none."""

    template: Any
    parts: list[Any] = field(default_factory=list)

    def fit(self, rows: npt.NDArray[Any], labels: Mask) -> None:
        """Learn."""
        from sklearn.base import clone

        constant = [None if 0 < on.mean() < 1 else float(on.mean()) for on in labels.T]
        self.parts = [
            share if share is not None else clone(self.template).fit(rows, on)
            for share, on in zip(constant, labels.T, strict=True)
        ]

    def scores(self, rows: npt.NDArray[Any]) -> Scores:
        """Return P(label), or where an estimator has none the logistic of its margin."""
        return np.stack([_score(part, rows) for part in self.parts], axis=1).astype(np.float32)


@dataclass
class Prepared:
    """Standardisation and optionally PCA before a model."""

    model: Learner
    components: int = 0
    steps: list[Any] = field(default_factory=list)

    def fit(self, rows: npt.NDArray[Any], labels: Mask) -> None:
        """Learn scale, components and model from these rows alone."""
        from sklearn.decomposition import PCA
        from sklearn.preprocessing import StandardScaler

        self.steps = [StandardScaler(), *([PCA(self.components)] if self.components else [])]
        exact = rows.astype(np.float64)
        for step in self.steps:
            exact = step.fit_transform(exact)
        self.model.fit(exact, labels)

    def scores(self, rows: npt.NDArray[Any]) -> Scores:
        """Return scores of raw features."""
        exact = rows.astype(np.float64)
        for step in self.steps:
            exact = step.transform(exact)
        return self.model.scores(exact)


def _of_true(predicted: npt.NDArray[Any], classes: list[Any]) -> npt.NDArray[Any]:
    return (
        np.asarray(predicted[:, classes.index(True)])
        if True in classes
        else np.zeros(len(predicted))
    )


def _score(part: Any, rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if isinstance(part, float):
        return np.full(len(rows), part)
    if hasattr(part, "predict_proba"):
        return np.asarray(part.predict_proba(rows)[:, 1])
    return np.asarray(1 / (1 + np.exp(-part.decision_function(rows))))


def forest(*, seed: int, jobs: int, trees: int = 200) -> AllAtOnce:
    """Return the forest that the original work's grid search chose."""
    from sklearn.ensemble import RandomForestClassifier

    return AllAtOnce(
        RandomForestClassifier(
            trees, max_depth=75, min_samples_split=20, random_state=seed, n_jobs=jobs
        )
    )


def original_models(*, seed: int, jobs: int) -> dict[str, Learner]:
    """Return the original work's six models of scikit-learn, by name, on 16 components."""
    from sklearn.dummy import DummyClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.tree import DecisionTreeClassifier

    learners: dict[str, Learner] = {
        "RandomForestClassifier": forest(seed=seed, jobs=jobs),
        "LogisticRegression": OneByOne(LogisticRegression(max_iter=1000)),
        "DecisionTreeClassifier": AllAtOnce(DecisionTreeClassifier(random_state=seed)),
        "DummyClassifier": AllAtOnce(DummyClassifier(strategy="prior")),
        "KNeighborsClassifier": AllAtOnce(KNeighborsClassifier(n_jobs=jobs)),
        "GaussianNB": OneByOne(GaussianNB()),
    }
    return {name: Prepared(learner, COMPONENTS) for name, learner in learners.items()}


def recent_models(*, seed: int, jobs: int) -> dict[str, Learner]:
    """Return further models for the 26 features."""
    from lightgbm import LGBMClassifier
    from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier
    from sklearn.svm import LinearSVC

    boosted = {"random_state": seed}
    learners: dict[str, Learner] = {
        "ExtraTreesClassifier": AllAtOnce(
            ExtraTreesClassifier(200, min_samples_split=20, random_state=seed, n_jobs=jobs)
        ),
        "HistGradientBoosting": OneByOne(HistGradientBoostingClassifier(**boosted)),
        "LightGBM": OneByOne(LGBMClassifier(**boosted, n_jobs=1, verbosity=-1)),
        "linear SVM": OneByOne(LinearSVC(**boosted)),
    }
    return {name: Prepared(learner) for name, learner in learners.items()}
