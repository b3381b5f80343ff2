"""The forest of the recipe: its graph is its scores, its size is bounded."""

import numpy as np
import pytest

from models.session import Session
from training.common.errors import MaterialError
from training.common.recipe import load
from training.sound_models import forest


@pytest.fixture(scope="module")
def fitted():
    settings = load(
        "instruments", ["forest.trees=20", "forest.leaves=30", "forest.rows=400"]
    ).forest
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 26)).astype(np.float32) * np.geomspace(1e-3, 1e4, 26).astype(
        np.float32
    )
    labels = np.stack([rows[:, 25] > 0, rows[:, 0] > 0, np.zeros(500, bool)], axis=1)
    return forest.fit(rows, labels, settings, seed=1), rows, labels


def test_it_learns_whatever_the_scale_of_a_feature(fitted):
    model, rows, labels = fitted
    assert np.mean((model.scores(rows) >= 0.5) == labels) > 0.85


def test_the_graph_gives_its_scores(fitted):
    model, rows, _ = fitted
    np.testing.assert_allclose(Session(model.onnx()).predict(rows), model.scores(rows), atol=1e-5)


def test_no_tree_grows_past_the_stated_leaves(fitted):
    assert max(tree.get_n_leaves() for tree in fitted[0].forest.estimators_) <= 30


def test_its_history_ends_with_all_trees_and_more_of_them_do_not_harm(fitted):
    model, rows, labels = fitted
    settings = load(
        "instruments", ["forest.trees=20", "forest.leaves=30", "forest.rows=400"]
    ).forest
    history = forest.fit(
        rows[:400], labels[:400], settings, seed=1, held_out=(rows[400:], labels[400:])
    ).history
    assert [entry["trees"] for entry in history] == [1, 2, 5, 10, 20]
    assert history[-1]["held_out_loss"] < history[0]["held_out_loss"]
    assert model.history == []


def test_as_a_pipeline_it_is_plain_scikit_learn(fitted):
    model, rows, _ = fitted
    said = model.pipeline().predict_proba(rows[:5].astype(np.float64))
    np.testing.assert_allclose(said[0][:, 1], model.scores(rows[:5])[:, 0], atol=1e-6)


def settings_of(*changes):
    small = ["forest.trees=20", "forest.leaves=30", "forest.rows=400"]
    return load("instruments", [*small, *(f"forest.{change}" for change in changes)]).forest


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ("criterion=entropy", "criterion", "entropy"),
        ("max_depth=3", "max_depth", 3),
        ("max_depth=0", "max_depth", None),
        ("max_features=5", "max_features", 5),
        ("max_features=0.5", "max_features", 0.5),
        ("min_samples_leaf=7", "min_samples_leaf", 7),
        ("min_samples_split=0.1", "min_samples_split", 0.1),
        ("bootstrap=false", "bootstrap", False),
        ("max_samples=50", "max_samples", 50),
        ("class_weight=balanced", "class_weight", "balanced"),
        ("leaves=0", "max_leaf_nodes", None),
    ],
)
def test_every_setting_reaches_scikit_learn(fitted, change, key, value):
    _, rows, labels = fitted
    # A label that is always off has no balance.
    made = forest.fit(rows, labels[:, :2], settings_of(change), seed=1)
    assert made.forest.get_params()[key] == value
    np.testing.assert_allclose(Session(made.onnx()).predict(rows), made.scores(rows), atol=1e-5)


def test_without_components_the_forest_sees_all_features(fitted):
    _, rows, labels = fitted
    made = forest.fit(rows, labels, settings_of("components=0"), seed=1)
    assert (made.pca, made.forest.n_features_in_) == (None, 26)
    assert [name for name, _ in made.pipeline().steps] == ["scaler", "forest"]
    np.testing.assert_allclose(Session(made.onnx()).predict(rows), made.scores(rows), atol=1e-5)


@pytest.mark.parametrize("count", [1, 2])
def test_the_out_of_bag_score_is_scikit_learns_and_below_that_of_its_own_windows(fitted, count):
    _, rows, labels = fitted
    made = forest.fit(rows, labels[:, :count], settings_of("oob_score=true"), seed=1)
    assert made.oob["score"] == made.forest.oob_score_
    assert made.oob["windows"] <= 400
    own = np.mean((made.scores(rows) >= 0.5) == labels[:, :count])
    assert 0.5 < made.oob["elementwise"] <= own
    if count == 1:
        assert made.oob["elementwise"] == pytest.approx(made.oob["score"], abs=0.01)


def test_windows_that_every_tree_drew_have_no_out_of_bag_score(fitted):
    _, rows, labels = fitted
    made = forest.fit(rows, labels[:, :2], settings_of("oob_score=true", "trees=1"), seed=1)
    assert 100 < made.oob["windows"] < 200, "about a third of 400"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("max_samples=401", "forest.max_samples=401: there are 400 training windows"),
        ("oob_score=true", "forest.oob_score needs each label to be on in some training windows"),
    ],
)
def test_settings_that_the_windows_do_not_allow_are_refused(fitted, change, message):
    _, rows, labels = fitted
    with pytest.raises(MaterialError, match=message):
        forest.fit(rows, labels, settings_of(change), seed=1)
