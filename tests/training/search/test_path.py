"""The forest path search: exact along its axes, beside scikit-learn's own trees and search."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, ParameterGrid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.search import BySource, ForestPathSearchCV, SearchError

ORIGINAL_GRID = {
    "n_estimators": [100, 150, 200, 700],
    "max_features": ["auto", "sqrt", "log2"],
    "max_depth": [None, *range(10, 50)],
    "criterion": ["gini", "entropy"],
    "min_samples_split": [12, 16, 20],
}
SMALL = {
    "n_estimators": [3, 7],
    "max_depth": [2, 5, None],
    "criterion": ["gini", "entropy"],
    "min_samples_split": [2, 9, 0.2],
}


def sounds(n=240, *, labels=4, features=8, seed=0):
    """Labels, several a row, and features that tell something about them."""
    rng = np.random.default_rng(seed)
    present = rng.random((n, labels)) < np.linspace(0.2, 0.5, labels)
    rows = present @ rng.normal(size=(labels, features)) + 0.8 * rng.normal(size=(n, features))
    return rows, present


def search(grid, estimator=None, **given):
    given = {"cv": KFold(3, shuffle=True, random_state=0), "refit": False, "confirm": False} | given
    estimator = RandomForestClassifier(random_state=5) if estimator is None else estimator
    return ForestPathSearchCV(estimator, grid, **given)


class Recorded:
    """A scoring function that keeps the probabilities it was given."""

    def __init__(self):
        self.seen = []

    def __call__(self, truth, scores):
        self.seen.append(scores.copy())
        return float(len(self.seen))


def test_all_of_work_as_combinations_have_a_row_and_equal_feature_counts_are_done_once():
    rows, labels = sounds(90, features=16)
    calls = []
    small = ORIGINAL_GRID | {"n_estimators": [1, 2, 3, 4]}
    found = search(small, progress=lambda done, total: calls.append((done, total)), n_jobs=2).fit(
        rows, labels
    )
    assert found.cv_results_["params"] == list(ParameterGrid(small))
    assert len(found.cv_results_["params"]) == len(list(ParameterGrid(ORIGINAL_GRID))) == 2952
    assert not np.isnan(found.cv_results_["mean_test_score"]).any()
    assert calls == [
        (i, 6) for i in range(1, 7)
    ]  # three folds, two criteria; sqrt = log2 = auto = 4 of 16


def test_the_table_has_the_columns_of_grid_search():
    rows, labels = sounds(60)
    grid = [{"n_estimators": [2], "max_depth": [1, 2]}, {"n_estimators": [1, 3]}]
    ours = search(grid).fit(rows, labels)
    theirs = GridSearchCV(RandomForestClassifier(), grid, cv=3).fit(rows, labels)
    assert list(ours.cv_results_) == list(theirs.cv_results_)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    assert (
        ours.cv_results_["param_max_depth"].mask.tolist()
        == theirs.cv_results_["param_max_depth"].mask.tolist()
    )


def test_the_winner_is_a_plain_forest_scored_on_every_fold():
    rows, labels = sounds()
    found = search({"max_features": ["auto"], "max_depth": [1, 6]}, refit=True, confirm=True).fit(
        rows, labels
    )
    assert found.best_params_ == {"max_features": "sqrt", "max_depth": 6}
    plain = RandomForestClassifier(random_state=5, **found.best_params_)
    assert found.confirmed_scores_.tolist() == [
        plain.fit(rows[train], labels[train]).score(rows[test], labels[test])
        for train, test in found.cv.split(rows)
    ]
    assert np.array_equal(found.predict(rows), plain.fit(rows, labels).predict(rows))
    assert np.array_equal(found.predict_proba(rows), plain.predict_proba(rows))
    assert found.score(rows, labels) == plain.score(rows, labels)
    assert found.best_score_ == found.cv_results_["mean_test_score"][found.best_index_]


def test_steps_before_the_forest_are_fitted_in_each_fold():
    rows, labels = sounds()
    folds = KFold(3, shuffle=True, random_state=0)
    ahead = make_pipeline(StandardScaler(), PCA(4, random_state=0))
    found, bare = Recorded(), Recorded()
    pipeline = make_pipeline(*ahead, RandomForestClassifier(5, random_state=5))
    search({"randomforestclassifier__max_depth": [3]}, pipeline, scoring=found).fit(rows, labels)
    for fold, (train, test) in enumerate(folds.split(rows)):
        reduced = ahead.fit(rows[train]).transform(rows)
        search({"n_estimators": [5], "max_depth": [3]}, scoring=bare, cv=[(train, test)]).fit(
            reduced, labels
        )
        np.testing.assert_array_equal(found.seen[fold], bare.seen[fold])


def test_it_splits_by_source_and_follows_the_habits_of_scikit_learn():
    rows, labels = sounds()
    sources = np.array(["a", "b", "c", "a+b"])[np.arange(len(rows)) % 4]
    found = search({"max_depth": [1, 2]}, cv=BySource(), n_jobs=2).fit(rows, labels, groups=sources)
    assert found.n_splits_ == 3
    assert clone(found).get_params()["param_grid"] == {"max_depth": [1, 2]}
    again = clone(found).set_params(n_jobs=1).fit(rows, labels, groups=sources)
    np.testing.assert_array_equal(
        again.cv_results_["mean_test_score"], found.cv_results_["mean_test_score"]
    )
    with pytest.raises(NotFittedError, match="refit"):
        found.predict(rows)


def test_little_memory_gives_the_same_scores(monkeypatch):
    rows, labels = sounds()
    whole = search(SMALL).fit(rows, labels).cv_results_["mean_test_score"]
    monkeypatch.setattr("training.search.limits._SUMS_BYTES", 1)
    np.testing.assert_array_equal(
        search(SMALL).fit(rows, labels).cv_results_["mean_test_score"], whole
    )


@pytest.mark.parametrize(
    ("grid", "estimator", "message"),
    [
        ({}, None, "grid is empty"),
        (
            {"randomforestclassifier__max_depth": [1]},
            make_pipeline(PCA(9), RandomForestClassifier()),
            "pca cannot be fitted on .* rows of 8: .*n_components=9",
        ),
        ({"max_depth": []}, None, "at least one value"),
        ({"max_depth": 3}, None, "at least one value"),
        (
            {"min_samples_leaf": [1]},
            None,
            "unknown grid key 'min_samples_leaf'.*ResumableGridSearchCV",
        ),
        ({"max_depth": [0]}, None, "max_depth=0"),
        ({"n_estimators": [0]}, None, "n_estimators=0"),
        ({"max_features": [9]}, None, "max_features=9: there are 8"),
        ({"max_features": ["cube"]}, None, "max_features='cube'"),
        ({"min_samples_split": [0]}, None, "above 0"),
        ({"criterion": ["mse"]}, None, "criterion='mse'"),
        ({"max_depth": [1]}, ExtraTreesClassifier(), "not ExtraTreesClassifier"),
        (
            {"max_depth": [1]},
            RandomForestClassifier(class_weight="balanced"),
            "class_weight='balanced'",
        ),
    ],
)
def test_what_it_cannot_search_it_says(grid, estimator, message):
    with pytest.raises(SearchError, match=message):
        search(grid, estimator).fit(*sounds(40))


def test_values_at_their_bounds_are_taken():
    grid = {
        "max_depth": [1],
        "n_estimators": [1],
        "max_features": [1, 8],
        "min_samples_split": [2, 1.0, 1e-9],
    }
    assert len(search(grid).fit(*sounds(40)).cv_results_["params"]) == 6


def test_labels_and_folds_that_cannot_be_used_are_refused():
    rows, labels = sounds(40)
    with pytest.raises(SearchError, match="40 rows, but labels of 39"):
        search({"max_depth": [1]}).fit(rows, labels[:39])
    with pytest.raises(SearchError, match="only one class"):
        search({"max_depth": [1]}).fit(rows, np.zeros(40))
    with pytest.raises(SearchError, match=r"5 rows cannot be split.*fewer folds"):
        search({"max_depth": [1]}, cv=KFold(6)).fit(rows[:5], labels[:5])
    search({"max_depth": [1]}, cv=KFold(5)).fit(rows[:5], labels[:5])
