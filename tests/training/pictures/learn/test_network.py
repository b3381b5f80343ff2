"""The networks in Keras and their graphs: the same scores, whatever the layers."""

import numpy as np
import pytest

from models.session import Session
from training.pictures.dataset.settings import Network
from training.pictures.learn.network import Fitted, build, temperature
from training.pictures.learn.network_onnx import export

KINDS = {
    "one stage": Network(name="a", maps=(5,), kernel=5, norm=False),
    "batch norm and dropout": Network(name="b", maps=(10,), kernel=5, dropout=0.5),
    "two stages of two": Network(name="c", maps=(6, 8), repeat=2, head="mean"),
}


def made(kind, seed=1):
    """A network whose batch norms are not as they were made, so that folding them matters."""
    model = build(KINDS[kind], height=20, width=28, labels=4, seed=seed)
    rng = np.random.default_rng(2)
    for layer in model.layers:
        if hasattr(layer, "moving_mean"):
            layer.moving_mean.assign(rng.normal(0, 0.2, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.moving_variance.shape))
            layer.gamma.assign(rng.uniform(0.5, 2, layer.gamma.shape))
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (9, 20, 28, 3)).astype(np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_scores_as_keras_does(kind, images):
    fitted = Fitted(made(kind), temperature=1.7)
    scores = Session(export(fitted, images)).predict(images)
    assert scores == pytest.approx(fitted.scores(images, np.arange(9)), abs=1e-5)
    assert scores.sum(axis=1) == pytest.approx(1)
    assert scores.std(axis=0).max() > 0.001


def test_the_same_seed_gives_the_same_weights(images):
    one, same, other = (
        Fitted(made("one stage", seed)).logits(images, np.arange(9)) for seed in (1, 1, 2)
    )
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_of_no_rows_there_are_no_scores(images):
    assert Fitted(made("one stage")).scores(images, np.arange(0)).shape == (0, 4)


def test_the_temperature_undoes_what_makes_scores_too_sure():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (4000, 3)).astype(np.float32)
    # The largest of logits with Gumbel noise is drawn with the probabilities of their softmax.
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    assert temperature(logits * 3, truth) == pytest.approx(3, rel=0.15)
    assert temperature(logits[:0], truth[:0]) == 1.0
