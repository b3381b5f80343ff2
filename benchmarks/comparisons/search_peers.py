"""Searches of a forest's settings to the same end: the best of one grid, by cross-validation.

Each runs on one core and its best settings are scored anew by the same folds and another seed, so
that who chose the luckiest seed has no advantage. Optuna looks at a part of the grid.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import measure, search

TITLE = "The best forest of a grid: path search beside scikit-learn's and Optuna, one core"
OURS, WHAT = "timbre, path search", "best of a grid, 3 folds"
FULL: dict[str, Any] = {
    "windows": 1_500,
    "rounds": 3,
    "trials": 24,
    "grid": {
        "model__n_estimators": [20, 50, 100, 200],
        "model__max_depth": [4, 8, 16, None],
        "model__min_samples_split": [2, 20],
        "model__criterion": ["gini", "entropy"],
    },
}
TINY: dict[str, Any] = {
    "windows": 150,
    "rounds": 1,
    "trials": 2,
    "grid": {"model__n_estimators": [1, 2], "model__max_depth": [2, None]},
}


GAPS = {"HalvingGridSearchCV": "it takes one label a row, and these have several"}


def run(*, tiny: bool = False) -> list[dict[str, Any]]:
    """Return rows: what, name, cpu_s, score (of the best, anew), ratio, quartiles."""
    given = TINY if tiny else FULL
    rows, labels = search.draw(None, given["windows"], seed=0)
    spent: dict[str, list[float]] = {name: [] for name in METHODS}
    scores: dict[str, list[float]] = {name: [] for name in METHODS}
    for number in range(given["rounds"]):
        for name, method in METHODS.items():
            begin = time.process_time()
            best = method(rows, labels, given, number)
            spent[name].append(time.process_time() - begin)
            scores[name].append(_score(best, rows, labels, seed=100 + number))
    table = []
    for name, seconds in spent.items():
        low, ratio, high = measure.quartiles(np.array(seconds) / np.array(spent[OURS]))
        row = {"what": WHAT, "name": name, "cpu_s": float(np.median(seconds)), "ratio": ratio}
        quartiles = {"ratio_p25": low, "ratio_p75": high, "rounds": given["rounds"]}
        table.append({**row, **quartiles, "score": float(np.mean(scores[name]))})
    return table + [{"name": name, "gap": why} for name, why in GAPS.items()]


def shortfalls(table: list[dict[str, Any]]) -> list[str]:
    """Return a line for each that found better settings by a hundredth, or was faster."""
    ours = next(row for row in table if row["name"] == OURS)
    missed = []
    for row in (row for row in table if "gap" not in row):
        if row["score"] > ours["score"] + 0.01:
            missed.append(f"{row['name']} found {row['score']:.3f}, ours is {ours['score']:.3f}")
        if row["ratio"] < 1:
            missed.append(f"{row['name']} takes {row['ratio']:.2f} times as long")
    return missed


def _settings(seed: int) -> dict[str, Any]:
    from sklearn.model_selection import KFold

    folds = KFold(3, shuffle=True, random_state=seed)
    return {"cv": folds, "scoring": search.SCORING, "n_jobs": 1, "refit": False}


def _path(rows: Any, labels: Any, given: dict[str, Any], seed: int) -> dict[str, Any]:
    from training.search import ForestPathSearchCV

    found = ForestPathSearchCV(
        search.pipeline(seed), given["grid"], confirm=False, **_settings(seed)
    )
    best: dict[str, Any] = found.fit(rows, labels).best_params_
    return best


def _grid(rows: Any, labels: Any, given: dict[str, Any], seed: int) -> dict[str, Any]:
    from sklearn.model_selection import GridSearchCV

    found = GridSearchCV(search.pipeline(seed), given["grid"], **_settings(seed))
    best: dict[str, Any] = found.fit(rows, labels).best_params_
    return best


def _optuna(rows: Any, labels: Any, given: dict[str, Any], seed: int) -> dict[str, Any]:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial: Any) -> float:
        chosen = {
            name: values[trial.suggest_int(name, 0, len(values) - 1)]
            for name, values in given["grid"].items()
        }
        return _score(chosen, rows, labels, seed=seed)

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=given["trials"])
    return {name: given["grid"][name][place] for name, place in study.best_params.items()}


def _score(chosen: dict[str, Any], rows: Any, labels: Any, *, seed: int) -> float:
    from sklearn.model_selection import cross_val_score

    model = search.pipeline(seed).set_params(**chosen)
    given = _settings(seed)
    folds = {name: given[name] for name in ("cv", "scoring", "n_jobs")}
    return float(cross_val_score(model, rows, labels, **folds).mean())


METHODS: dict[str, Callable[[Any, Any, dict[str, Any], int], dict[str, Any]]] = {
    OURS: _path,
    "GridSearchCV": _grid,
    "Optuna, TPE": _optuna,
}
"""Each returns the best settings it found."""
