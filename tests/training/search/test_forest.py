"""Forests cut at their limits are those that grow under them, and scikit-learn's."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, KFold

from tests.training.search.test_path import SMALL, Recorded, search, sounds


@pytest.mark.parametrize("classes", [False, True])
def test_a_cut_is_bit_for_bit_the_forest_that_grows_under_the_limits(classes):
    rows, labels = sounds()
    if classes:
        labels = np.array(["piano", "violin", "flute"])[labels[:, :2].sum(axis=1)]
    whole = Recorded()
    found = search(SMALL, scoring=whole).fit(rows, labels).cv_results_
    for i, values in enumerate(found["params"]):
        alone = Recorded()
        search({key: [value] for key, value in values.items()}, scoring=alone).fit(rows, labels)
        for fold in range(3):
            there = whole.seen[int(found[f"split{fold}_test_score"][i]) - 1]
            np.testing.assert_array_equal(there, alone.seen[fold])


@pytest.mark.parametrize("criterion", ["gini", "entropy"])
@pytest.mark.parametrize("depth", [1, 3, None])
def test_with_nothing_left_to_chance_its_trees_are_scikit_learns(criterion, depth):
    rows, labels = sounds(900, labels=3)
    # Splits of a few rows tie, and ties are broken by the order of the features.
    fixed = RandomForestClassifier(
        1, bootstrap=False, max_features=None, min_samples_leaf=20, random_state=0
    )
    limits = {"criterion": criterion, "max_depth": depth, "min_samples_split": 100}
    ours = Recorded()
    folds = KFold(2)
    search({key: [value] for key, value in limits.items()}, fixed, scoring=ours, cv=folds).fit(
        rows, labels
    )
    for (train, test), scores in zip(folds.split(rows), ours.seen, strict=True):
        theirs = (
            clone(fixed)
            .set_params(**limits)
            .fit(rows[train], labels[train])
            .predict_proba(rows[test])
        )
        np.testing.assert_allclose(scores, np.stack([p[:, 1] for p in theirs], axis=1), atol=1e-6)


LIMITS = {"n_estimators": [10, 30], "max_depth": [2, None], "min_samples_split": [2, 30]}
FOLDS = KFold(3, shuffle=True, random_state=0)


@pytest.fixture(scope="module")
def grid_searches():
    """The tables of scikit-learn's search with three seeds."""
    searches = [
        GridSearchCV(
            RandomForestClassifier(random_state=seed),
            LIMITS,
            scoring=["accuracy", "f1_micro"],
            cv=FOLDS,
            refit=False,
        )
        for seed in range(3)
    ]
    return [each.fit(*sounds(400)).cv_results_ for each in searches]


@pytest.mark.parametrize("scoring", ["accuracy", "f1_micro"])
@pytest.mark.slow  # many searches
def test_scores_differ_from_those_of_grid_search_as_two_seeds_do(scoring, grid_searches):
    theirs = [table[f"mean_test_{scoring}"] for table in grid_searches]
    ours = [
        search(LIMITS, RandomForestClassifier(random_state=seed), scoring=scoring, cv=FOLDS)
        .fit(*sounds(400))
        .cv_results_["mean_test_score"]
        for seed in range(3)
    ]
    spread = np.std(theirs, axis=0, ddof=1).mean()
    assert np.abs(np.mean(ours, axis=0) - np.mean(theirs, axis=0)).mean() < 2 * spread
    assert np.ptp(np.mean(theirs, axis=0)) > 5 * spread  # so that a constant would not pass
