"""A search as a file."""

import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import ParameterGrid
from sklearn.pipeline import Pipeline

from training.search import SearchError, gridfile

TREE = 'estimator = "sklearn.tree.DecisionTreeClassifier"\n'


def load(tmp_path, text, seed=0):
    path = tmp_path / "grid.toml"
    path.write_text(text)
    return gridfile.load(str(path), seed=seed)


def test_the_shipped_grid_is_work_as():
    file = gridfile.load("forest", seed=7)
    assert len(ParameterGrid(file.grid)) == 2952
    assert file.grid["model__max_depth"] == [None, *range(10, 50)]
    assert isinstance(file.estimator, Pipeline)
    assert file.estimator["pca"].n_components == 16
    assert isinstance(file.estimator["model"], RandomForestClassifier)
    assert file.estimator["model"].random_state == 7


def test_values_are_ranges_none_and_themselves(tmp_path):
    text = '[fixed]\nsplitter = "random"\nmax_leaf_nodes = "none"\n'
    text += '[grid]\nmax_depth = ["none", 2, "4..6"]'
    file = load(tmp_path, TREE + text, seed=3)
    assert file.grid == {"max_depth": [None, 2, 4, 5, 6]}
    assert file.estimator.get_params()["splitter"] == "random"
    assert file.estimator.get_params()["random_state"] == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TREE, "the grid is empty"),
        (TREE + "[grid]", "the grid is empty"),
        (
            TREE + "[grid]\nmax_depth = 3",
            "'max_depth': a list of at least one value is needed, got 3",
        ),
        (TREE + "[grid]\nmax_depth = []", "at least one value"),
        (
            TREE + "folds = 3\n[grid]\nmax_depth = [1]",
            "unknown key 'folds'; known: estimator, components",
        ),
        (
            TREE + "[fixed]\ndepth = 3\n[grid]\nmax_depth = [1]",
            "cannot be made: Invalid parameter 'depth'",
        ),
        (
            'estimator = "sklearn.tree.Oak"\n[grid]\nmax_depth = [1]',
            "'sklearn.tree.Oak' .* cannot be made",
        ),
        ("[grid]\nmax_depth = [1]", "estimator = '' .* cannot be made"),
        ("estimator", "is not TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, message):
    with pytest.raises(SearchError, match=message):
        load(tmp_path, text)


def test_a_grid_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(SearchError, match=r"no grid oak: give a \.toml file or one of forest"):
        gridfile.load("oak", seed=0)
