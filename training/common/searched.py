"""The result of `timbre search` as changes of a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from features.config import DEFAULT, AudioConfig
from training.common.recipe import RecipeError

BEST = "best.json"
MODELS = {
    "RandomForestClassifier": "forest",
    "ExtraTreesClassifier": "extra-trees",
    "HistGradientBoostingClassifier": "gradient-boosting",
    "LGBMClassifier": "lightgbm",
    "KNeighborsClassifier": "neighbours",
    "LogisticRegression": "logistic-regression",
    "LinearSVC": "linear-svm",
}
"""The model of a recipe by the class of a search's estimator."""
FOREST = {"n_estimators": "trees", "max_leaf_nodes": "leaves"}
"""Settings of [forest] that have another name than scikit-learn's parameters."""
UNLIMITED: dict[str, Any] = {
    "max_leaf_nodes": 0, "max_depth": 0, "max_samples": 0, "class_weight": "", "max_features": 1.0,
}  # fmt: skip
"""What [forest] says for scikit-learn's None; TOML has none."""
NOT_SET = ("random_state", "n_jobs", "verbose", "warm_start", "monotonic_cst")
"""Parameters that the recipe decides, or that none of ours needs."""


def read_best(folder: Path) -> dict[str, Any]:
    """Return best.json of a folder that `timbre search` wrote. Raises RecipeError."""
    path = folder / BEST
    try:
        best = json.loads(path.read_text(encoding="utf-8"))
        known = {"estimator", "settings", "components", "features"} <= best.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise RecipeError(f"{path} is no result of `timbre search`: {error}") from error
    if not known:
        raise RecipeError(f"{path} is of an older version: run `timbre search` again")
    found: dict[str, Any] = best
    return found


def changes(best: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return key and value of what a recipe must change to train the best. Raises RecipeError."""
    model = MODELS.get(best["estimator"])
    if model is None:
        raise RecipeError(
            f"the search is of {best['estimator']}; a recipe trains {', '.join(MODELS)}"
        )
    settings = {key: value for key, value in best["settings"].items() if key not in NOT_SET}
    if model == "forest":
        found = {
            FOREST.get(key, key): UNLIMITED.get(key) if value is None else value
            for key, value in settings.items()
        }
    else:
        # A grid without components has no scaler either.
        found = {"components": best["components"], "standardise": best["components"] > 0}
        found |= {key: "none" if value is None else value for key, value in settings.items()}
    where = "forest" if model == "forest" else f"estimators.{model}"
    return [("models", [model]), *((f"{where}.{key}", value) for key, value in found.items())]


def check_match(best: dict[str, Any], recipe: Any) -> None:
    """Raise RecipeError when the search saw other features or components than the recipe trains on.

    recipe: with the section [forest].
    """
    if not hasattr(recipe, "forest"):
        raise RecipeError("--from-search goes with a recipe that has a section [forest]")
    config = config_of(recipe)
    if best["features"] is None:
        raise RecipeError("the search does not say what its features are: search again")
    length, rate = best["features"]["window_s"], best["features"]["rate"]
    if (length, rate) != (config.window / config.sample_rate, config.sample_rate):
        raise RecipeError(
            f"the search is of windows of {length:g} s at {rate} Hz, the recipe of "
            f"{config.window / config.sample_rate:g} s at {config.sample_rate} Hz: "
            f"--set windows.length={length:g}, or search again"
        )
    if best["features"]["fingerprint"] != config.fingerprint("features"):
        raise RecipeError("the search is of features of another version: search again")
    if MODELS.get(best["estimator"]) != "forest":
        return
    if best["components"] != recipe.forest.components:
        raise RecipeError(
            f"the search is of {_components(best['components'])}, the recipe of "
            f"{_components(recipe.forest.components)}: "
            f"--set forest.components={best['components']}, or search again"
        )


def config_of(recipe: Any) -> AudioConfig:
    """Return how a recipe makes numbers of sound."""
    if not hasattr(recipe, "windows"):
        return DEFAULT
    return AudioConfig(window=round(recipe.windows.length * DEFAULT.sample_rate))


def _components(number: int) -> str:
    return f"{number} components" if number else "all features without PCA"
