"""Folds by source, and what cannot be split."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.tree import DecisionTreeClassifier

from training.search import BySource, SearchError
from training.search.splits import check_grid, folds_of

SOURCES = np.array(["a"] * 5 + ["b"] * 3 + ["c"] * 2 + ["a+b"] * 2)


def test_a_source_is_on_one_side_only_and_mixtures_with_it_train_nobody():
    folds = list(BySource().split(np.zeros(12), groups=SOURCES))
    assert [sorted(set(SOURCES[test])) for _, test in folds] == [["a"], ["b"], ["c"]]
    assert [sorted(set(SOURCES[train])) for train, _ in folds] == [
        ["b", "c"],
        ["a", "c"],
        ["a", "a+b", "b"],
    ]


def test_sources_are_dealt_to_folds_of_about_equal_size():
    folds = list(BySource(2).split(np.zeros(12), groups=SOURCES))
    assert [sorted(set(SOURCES[test])) for _, test in folds] == [["a"], ["b", "c"]]
    assert sorted(set(SOURCES[folds[0][0]])) == ["b", "c"]
    assert BySource(2).get_n_splits(groups=SOURCES) == 2


def test_a_fold_of_both_sources_judges_their_mixtures():
    sources = np.array(["a"] * 2 + ["b"] * 2 + ["c"] * 4 + ["a+b"])
    assert [
        sorted(set(sources[test])) for _, test in BySource(2).split(sources, groups=sources)
    ] == [
        ["c"],
        ["a", "a+b", "b"],
    ]


def test_scikit_learn_takes_it_as_it_is():
    rng = np.random.default_rng(0)
    search = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=BySource())
    search.fit(rng.random((12, 2)), np.arange(12) % 2, groups=SOURCES)
    assert search.n_splits_ == 3


def test_too_few_sources_are_refused():
    with pytest.raises(SearchError, match="1 source cannot make 2 folds by source: add recordings"):
        list(BySource().split(np.zeros(3), groups=np.array(["a", "a", "a"])))
    with pytest.raises(SearchError, match="3 sources cannot make 4 folds"):
        list(BySource(4).split(np.zeros(12), groups=SOURCES))
    assert len(list(BySource(3).split(np.zeros(12), groups=SOURCES))) == 3
    with pytest.raises(SearchError, match="groups=sources"):
        list(BySource().split(np.zeros(12)))
    with pytest.raises(SearchError, match="folds=1"):
        BySource(1)


def test_fewer_rows_than_folds_are_refused():
    labels = np.arange(5) % 2
    with pytest.raises(SearchError, match=r"5 rows cannot be split.*fewer folds or more rows"):
        folds_of(KFold(6), np.zeros((5, 1)), labels, None)
    assert len(folds_of(KFold(5), np.zeros((5, 1)), labels, None)) == 5
    with pytest.raises(SearchError, match="fold 1 of 2 has no training or no test rows"):
        folds_of([([0], [1]), ([0, 1], [])], np.zeros((5, 1)), labels, None)


def test_a_grid_gives_every_combination_in_scikit_learns_order():
    assert check_grid([{"b": [1, 2], "a": [3]}, {"a": [None]}], ["a", "b"], hint="") == [
        {"a": 3, "b": 1},
        {"a": 3, "b": 2},
        {"a": None},
    ]
    with pytest.raises(SearchError, match="unknown grid key 'c'; there are a, b"):
        check_grid({"c": [1]}, ["a", "b"], hint="there are a, b")
    with pytest.raises(SearchError, match="'a': a list of at least one value is needed, got 'x'"):
        check_grid({"a": "x"}, ["a"], hint="")
    for empty in ({}, []):
        with pytest.raises(SearchError, match="empty"):
            check_grid(empty, ["a"], hint="")
