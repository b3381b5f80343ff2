"""Models of scikit-learn and LightGBM on the 26 features, by the names that recipes have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from features.config import DEFAULT, AudioConfig
from models.export.estimators import export, scores_of
from training.common.recipe import RecipeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from training.evaluation.leave_one_out import HistoryEntry
    from training.evaluation.metrics import Mask, Scores

COMPONENTS, STANDARDISE = "components", "standardise"
"""Settings beside those of the library: principal components before the model, 0: none; whether the
features are standardised before."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "extra-trees": {"n_estimators": 200, "min_samples_split": 20},
    "gradient-boosting": {},
    "lightgbm": {"verbosity": -1, "n_jobs": 1},
    "neighbours": {COMPONENTS: 16},
    "logistic-regression": {"max_iter": 1000},
    "linear-svm": {},
}
"""What differs from the library's own defaults, as in `timbre study models`."""
ALL_LABELS = ("extra-trees", "neighbours")
"""Models that take all labels together; the others are one for each label."""
TYPICAL = 400
"""Training windows on which the graph is compared with scikit-learn."""


@dataclass(frozen=True)
class FittedEstimator:
    """A fitted pipeline of scaler, perhaps PCA, and a classifier."""

    estimator: Any
    rows: npt.NDArray[np.float32]
    """Typical training windows."""
    history: list[HistoryEntry]
    """Empty: these learn in one step."""

    def scores(self, rows: npt.NDArray[np.float32]) -> Scores:
        """Return P(label), (n, labels), of feature vectors (n, 26)."""
        return np.asarray(scores_of(self.estimator, rows), np.float32)

    def pipeline(self) -> Any:
        """Return the scikit-learn pipeline."""
        return self.estimator

    def onnx(self, config: AudioConfig = DEFAULT) -> bytes:
        """Return the graph; its input has the same shape in every configuration."""
        del config
        return export(self.estimator, self.rows)


def make(name: str, settings: Mapping[str, Any], *, labels: int, seed: int, jobs: int = 1) -> Any:
    """Return a pipeline that is not fitted. Raises RecipeError for a setting that cannot be."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    given = DEFAULTS[name] | {key: _value(value) for key, value in settings.items()}
    components = given.pop(COMPONENTS, 0)
    (features,) = DEFAULT.shape("features")
    if not isinstance(components, int) or not 0 <= components <= features:
        raise RecipeError(
            f"estimators.{name}.{COMPONENTS}={components!r} must be from 0 to {features}"
        )
    standardise = given.pop(STANDARDISE, True)
    if not isinstance(standardise, bool):
        raise RecipeError(f"estimators.{name}.{STANDARDISE}={standardise!r} must be true or false")
    classifier = _classifier(name, given, seed=seed, jobs=jobs)
    if labels > 1 and name not in ALL_LABELS:
        from sklearn.multiclass import OneVsRestClassifier

        classifier = OneVsRestClassifier(classifier)
    before = [StandardScaler()] if standardise else []
    before += [PCA(components, random_state=seed)] if components else []
    return make_pipeline(*before, classifier)


def fit(
    name: str,
    rows: npt.NDArray[np.float32],
    labels: Mask,
    settings: Mapping[str, Any],
    *,
    seed: int,
    most: int,
    jobs: int = 1,
) -> FittedEstimator:
    """Return a model fitted on feature vectors (n, 26), at most `most` of them, and their labels.

    settings: of the library, by its names. Raises RecipeError.
    """
    from threadpoolctl import threadpool_limits

    chosen = np.random.default_rng(seed).permutation(len(rows))[:most]
    exact, truth = rows[chosen].astype(np.float64), labels[chosen]
    model = make(name, settings, labels=labels.shape[1], seed=seed, jobs=jobs)
    with threadpool_limits(jobs):
        model = _fitted(name, model, exact, truth.ravel() if truth.shape[1] == 1 else truth)
    return FittedEstimator(model, rows[chosen[:TYPICAL]], [])


def _fitted(name: str, model: Any, rows: npt.NDArray[Any], truth: Mask) -> Any:
    try:
        model.fit(rows, truth)
        # Some settings are checked only here.
        scores_of(model, rows[:1])
    except ValueError as error:
        raise RecipeError(f"estimators.{name}: {' '.join(str(error).split())}") from error
    return model


def _classifier(name: str, given: dict[str, Any], *, seed: int, jobs: int) -> Any:
    estimator = _CLASSES[name]()
    # LightGBM takes more than it lists.
    known = {*estimator.get_params(deep=False), *DEFAULTS[name]} - {COMPONENTS}
    wrong = sorted(given.keys() - known)
    if wrong:
        raise RecipeError(
            f"estimators.{name}: unknown setting {', '.join(wrong)}; known: {COMPONENTS}, "
            f"{STANDARDISE}, {', '.join(sorted(known))}"
        )
    ours: dict[str, Any] = {"random_state": seed} if "random_state" in known else {}
    # One classifier for each label is fitted on one thread, and one after the other.
    ours |= {"n_jobs": jobs} if name in ALL_LABELS else {}
    return estimator.set_params(**ours | given)


def _value(value: Any) -> Any:
    """Return a setting as Python has it: a text may be TOML, or none."""
    import tomllib

    if not isinstance(value, str):
        return value
    if value == "none":
        return None
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _extra_trees() -> Any:
    from sklearn.ensemble import ExtraTreesClassifier

    return ExtraTreesClassifier()


def _gradient_boosting() -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier()


def _lightgbm() -> Any:
    from lightgbm import LGBMClassifier

    return LGBMClassifier()


def _neighbours() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier()


def _logistic_regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


def _linear_svm() -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC()


_CLASSES = {
    "extra-trees": _extra_trees,
    "gradient-boosting": _gradient_boosting,
    "lightgbm": _lightgbm,
    "neighbours": _neighbours,
    "logistic-regression": _logistic_regression,
    "linear-svm": _linear_svm,
}
