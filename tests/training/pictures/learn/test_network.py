"""Small networks in Keras."""

import numpy as np
import pytest

from training.pictures.dataset.settings import Network
from training.pictures.learn.network import Fitted, build, temperature

NETWORK = Network(name="a", maps=(5,), kernel=5, norm=False)


def made(seed=1):
    return build(NETWORK, height=20, width=28, labels=4, seed=seed)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (9, 20, 28, 3)).astype(np.uint8)


def test_the_same_seed_gives_the_same_weights(images):
    one, same, other = (Fitted(made(seed)).logits(images, np.arange(9)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_of_no_rows_there_are_no_scores(images):
    assert Fitted(made()).scores(images, np.arange(0)).shape == (0, 4)


def test_the_temperature_undoes_what_makes_scores_too_sure():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1, (4000, 3)).astype(np.float32)
    # The largest of logits with Gumbel noise is drawn with the probabilities of their softmax.
    truth = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    assert temperature(logits * 3, truth) == pytest.approx(3, rel=0.15)
    assert temperature(logits[:0], truth[:0]) == 1.0
