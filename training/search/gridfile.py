"""A search as a file: an estimator, what is fixed, and the grid."""

from __future__ import annotations

import importlib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.search.splits import SearchError

FOLDER = Path(__file__).parent / "grids"
KEYS = ("estimator", "components", "fixed", "grid")


@dataclass(frozen=True)
class GridFile:
    """An estimator that is not fitted yet, and its grid."""

    estimator: Any
    grid: dict[str, list[Any]]


def load(name: str, *, seed: int) -> GridFile:
    """Return the grid of a .toml file, or of a name in `FOLDER`. seed: of everything random.

    Raises SearchError for a file, an estimator or a key that is not there.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        shipped = ", ".join(sorted(each.stem for each in FOLDER.glob("*.toml")))
        raise SearchError(f"no grid {name}: give a .toml file or one of {shipped}") from error
    except ValueError as error:
        raise SearchError(f"{path} is not TOML: {error}") from error
    for key in settings:
        if key not in KEYS:
            raise SearchError(f"{path}: unknown key {key!r}; known: {', '.join(KEYS)}")
    if not settings.get("grid"):
        raise SearchError(
            f"{path}: the grid is empty: give [grid] at least one key with its values"
        )
    estimator = _estimator(str(settings.get("estimator", "")), settings.get("fixed", {}), seed)
    grid = {key: _values(key, values) for key, values in settings["grid"].items()}
    components = settings.get("components")
    return (
        _after_pca(estimator, grid, components, seed) if components else GridFile(estimator, grid)
    )


def chosen(estimator: Any, best: dict[str, Any]) -> dict[str, Any]:
    """Return class, settings and components (0: no PCA) of the estimator with the best values."""
    from sklearn.base import clone
    from sklearn.pipeline import Pipeline

    from training.search.limits import accepted

    whole = clone(estimator).set_params(**accepted(best))
    components = 0
    if isinstance(whole, Pipeline):
        components = getattr(whole.named_steps.get("pca"), "n_components", 0)
        whole = whole.steps[-1][1]
    return {
        "estimator": type(whole).__name__,
        "settings": whole.get_params(deep=False),
        "components": components,
    }


def _estimator(name: str, fixed: dict[str, Any], seed: int) -> Any:
    """Return the estimator of a dotted name, such as sklearn.ensemble.RandomForestClassifier."""
    module, _, kind = name.rpartition(".")
    try:
        estimator = getattr(importlib.import_module(module), kind)()
        if "random_state" in estimator.get_params():
            estimator.set_params(random_state=seed)
        return estimator.set_params(**{key: _value(value) for key, value in fixed.items()})
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise SearchError(f"estimator = {name!r} with {fixed} cannot be made: {error}") from error


def _after_pca(estimator: Any, grid: dict[str, list[Any]], components: int, seed: int) -> GridFile:
    """Return the estimator after scaler and PCA; the grid's keys go to the estimator."""
    from sklearn.decomposition import PCA
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    steps = [
        ("scaler", StandardScaler()),
        ("pca", PCA(components, random_state=seed)),
        ("model", estimator),
    ]
    return GridFile(Pipeline(steps), {f"model__{key}": values for key, values in grid.items()})


def _values(key: str, values: Any) -> list[Any]:
    """Return the values of a key: "none" is None, "10..49" is each whole number from 10 to 49."""
    if not isinstance(values, list) or not values:
        raise SearchError(
            f"grid key {key!r}: a list of at least one value is needed, got {values!r}"
        )
    found: list[Any] = []
    for value in values:
        if isinstance(value, str) and (limits := re.fullmatch(r"(\d+)\.\.(\d+)", value)):
            found += range(int(limits[1]), int(limits[2]) + 1)
        else:
            found.append(_value(value))
    return found


def _value(value: Any) -> Any:
    return None if value == "none" else value
