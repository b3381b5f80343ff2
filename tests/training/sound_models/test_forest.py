"""The forest of the recipe: its graph is its scores, its size is bounded."""

import numpy as np
import pytest

from models.session import Session
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
