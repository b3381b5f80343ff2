"""Models of scikit-learn on the 26 features: learn, export, and name what cannot be."""

import numpy as np
import pytest

from models.session import Session
from training.common.recipe import RecipeError
from training.sound_models import estimators
from training.sound_models.estimators import DEFAULTS, fit, make

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(500, 26)).astype(np.float32) * np.geomspace(1e-3, 1e4, 26).astype(
    np.float32
)
LABELS = np.stack([ROWS[:, 25] > 0, ROWS[:, 0] > 0], axis=1)
FAST = {
    "lightgbm": {"n_estimators": 20},
    "extra-trees": {"n_estimators": 20},
    "gradient-boosting": {"max_iter": 20},
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", DEFAULTS)
def test_every_model_learns_and_its_graph_gives_its_scores(name, count):
    model = fit(name, ROWS[:400], LABELS[:400, :count], FAST.get(name, {}), seed=1, most=10_000)
    scores = model.scores(ROWS[400:])
    assert scores.shape == (100, count)
    assert np.mean((scores >= 0.5) == LABELS[400:, :count]) > 0.6
    found = Session(model.onnx()).predict(ROWS[400:])
    np.testing.assert_allclose(found, scores, atol=1e-5)
    assert model.pipeline().n_features_in_ == 26


def test_the_same_seed_gives_the_same_scores():
    one, same, other = (
        fit("extra-trees", ROWS, LABELS, {"n_estimators": 3}, seed=seed, most=300).scores(ROWS)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_settings_are_those_of_the_library_and_texts_are_read():
    settings = {"n_neighbors": "3", "weights": "distance", "components": "4", "leaf_size": 7}
    model = make("neighbours", settings, labels=2, seed=0)
    found = model.steps[-1][1].get_params()
    assert (found["n_neighbors"], found["weights"], found["leaf_size"]) == (3, "distance", 7)
    assert [name for name, _ in model.steps] == ["standardscaler", "pca", "kneighborsclassifier"]
    bare = make("extra-trees", {"max_depth": "none", "standardise": "false"}, labels=2, seed=0)
    assert len(bare.steps) == 1
    assert bare.steps[0][1].max_depth is None


def test_no_more_rows_than_asked_for_are_trained_on():
    model = fit("neighbours", ROWS, LABELS, {}, seed=1, most=50)
    assert model.pipeline().steps[-1][1].n_samples_fit_ == 50


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("neighbours", {"k": 3}, "estimators.neighbours: unknown setting k; known: components, st"),
        ("neighbours", {"components": 27}, "components=27 must be from 0 to 26"),
        ("neighbours", {"components": -1}, "components=-1 must be from 0 to 26"),
        ("neighbours", {"components": "x"}, "components='x' must be from 0 to 26"),
        ("linear-svm", {"standardise": 3}, "standardise=3 must be true or false"),
    ],
)
def test_a_setting_that_the_library_does_not_have_is_named(name, settings, message):
    with pytest.raises(RecipeError, match=message):
        make(name, settings, labels=2, seed=0)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("neighbours", {"n_neighbors": 0}),
        ("neighbours", {"n_neighbors": 51}),
        ("linear-svm", {"C": -1}),
        ("gradient-boosting", {"max_depth": "deep"}),
    ],
)
def test_a_value_that_the_library_rejects_is_an_error_of_the_recipe(name, settings):
    with pytest.raises(RecipeError, match=f"estimators.{name}: "):
        fit(name, ROWS, LABELS, settings, seed=0, most=50).scores(ROWS)


def test_every_model_of_a_recipe_is_described_and_made():
    from training.common.model_settings import ESTIMATORS, MODELS
    from training.pipelines import sound_model
    from training.sound_models import dense

    assert {*DEFAULTS, *dense.MODELS} == set(ESTIMATORS)
    assert set(sound_model.KINDS) == set(sound_model.DESCRIPTIONS) == set(MODELS)
    assert set(sound_model.LIBRARIES) == set(MODELS)
    assert estimators.ALL_LABELS
