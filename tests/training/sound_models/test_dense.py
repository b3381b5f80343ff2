"""The networks of the comparison: the named size, learning, the same again from the same seed."""

import numpy as np
import pytest

from common.errors import ArtefactError
from models.session import Session
from training.common.recipe import RecipeError
from training.sound_models import dense
from training.sound_models.dense import ORIGINAL_PARAMETERS, SHAPES, Dense, named, width

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(600, 26)).astype(np.float32)
LABELS = np.stack([ROWS[:, 5] + ROWS[:, 6] > 0, ROWS[:, 0] > 0], axis=1)


@pytest.mark.parametrize(("inputs", "labels"), [(26, 11), (26, 1), (16, 40)])
def test_the_named_network_has_about_122_000_parameters(inputs, labels):
    count = sum(part.numel() for part in named(inputs, labels).parameters())
    assert abs(count - ORIGINAL_PARAMETERS) < 400
    w = width(inputs, labels)
    assert count == (inputs + 1) * w + (w + 1) * w + (w + 1) * labels


@pytest.mark.parametrize("shape", SHAPES)
def test_it_learns_and_gives_probabilities(shape):
    learner = Dense(shape, seed=1, epochs=40 if shape.startswith("exp") else 12)
    learner.fit(ROWS[:500], LABELS[:500])
    scores = learner.scores(ROWS[500:])
    assert scores.shape == (100, 2)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert learner.history[-1] < learner.history[0]
    if not shape.startswith("exp"):
        assert np.mean((scores >= 0.5) == LABELS[500:]) > 0.85


def test_the_same_seed_gives_the_same_scores():
    learners = [Dense("network on 26 features", seed=seed, epochs=1) for seed in (3, 3, 4)]
    for learner in learners:
        learner.fit(ROWS[:100], LABELS[:100])
    one, same, other = (learner.scores(ROWS[:5]) for learner in learners)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", dense.MODELS)
def test_the_graph_of_raw_features_gives_the_scores_of_torch(name, count):
    rows = ROWS * np.geomspace(1e-3, 1e4, 26).astype(np.float32) + 5
    fitted = dense.fit(
        name, rows[:500], LABELS[:500, :count], {"epochs": "12"}, seed=1, most=10_000
    )
    found = Session(fitted.onnx()).predict(rows[500:])
    np.testing.assert_allclose(found, fitted.scores(rows[500:]), atol=1e-5)
    assert np.mean((found >= 0.5) == LABELS[500:, :count]) > 0.8
    assert [entry.keys() for entry in fitted.history] == [{"loss"}] * 12


def test_a_feature_that_never_changes_harms_nothing():
    rows = np.where(np.arange(26) == 3, np.float32(0.1), ROWS)
    fitted = dense.fit("dense", rows, LABELS, {"epochs": 1}, seed=1, most=50)
    assert np.isfinite(Session(fitted.onnx()).predict(rows)).all()
    assert len(fitted.rows) == 50
    # Nor when it does change later.
    later = np.where(np.arange(26) == 3, np.float32(300), ROWS)
    expected = fitted.scores(rows)
    np.testing.assert_allclose(fitted.scores(later), expected, atol=1e-6)
    np.testing.assert_allclose(Session(fitted.onnx()).predict(later), expected, atol=1e-5)


def test_a_graph_that_differs_is_rejected():
    fitted = dense.fit("dense", ROWS, LABELS, {"epochs": 1}, seed=1, most=500)
    fitted.learner.scores = lambda rows: np.zeros((len(rows), 2))
    with pytest.raises(ArtefactError, match="differ from torch's by"):
        fitted.onnx()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epochs": 0}, "estimators.dense.epochs=0 must be a whole number of 1 or more"),
        ({"epochs": "many"}, "estimators.dense.epochs='many' must be"),
        ({"width": 3}, "estimators.dense: unknown setting width; known: epochs"),
    ],
)
def test_settings_of_the_network_that_cannot_be_are_named(settings, message):
    with pytest.raises(RecipeError, match=message):
        dense.epochs_of("dense", settings)
