"""Networks as graphs: the same scores, whatever the layers."""

import numpy as np
import pytest

from models.session import Session
from training.pictures.dataset.settings import Network
from training.pictures.learn.network import Fitted, build
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
