"""The network: that it learns, that level does not matter, that the graph is the network."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from features.config import DEFAULT
from models.session import Session
from tests.models.helpers.multiplications import multiplications
from training.common.recipe import load
from training.sound_models import network
from training.sound_models.spectrogram_net import Spectrogram

SHAPE = DEFAULT.shape("log_mel")


@pytest.fixture(scope="module")
def settings():
    return load(
        "instruments",
        ["profile=quick", "network.epochs=12", "network.members=2", "network.batch=32"],
    ).network


@pytest.fixture(scope="module")
def material():
    """Two labels: energy in low bands, energy in high bands; at any level, over a floor."""
    rng = np.random.default_rng(0)
    labels = rng.random((160, 2)) < 0.5
    spectrograms = rng.normal(-60, 3, (160, *SHAPE)).astype(np.float32)
    spectrograms[:, 10:40] += 40 * labels[:, 0, None, None]
    spectrograms[:, 80:110] += 40 * labels[:, 1, None, None]
    return (spectrograms + rng.uniform(-30, 30, (160, 1, 1))).astype(np.float16), labels


@pytest.fixture(scope="module")
def fitted(settings, material):
    spectrograms, labels = material
    return network.fit(
        spectrograms,
        labels,
        np.arange(112),
        settings,
        seed=1,
        held_out=(spectrograms[112:], labels[112:]),
    )


def test_it_learns_what_tells_the_labels_apart(fitted, material):
    spectrograms, labels = material
    scores = fitted.scores(spectrograms[112:])
    assert np.mean((scores >= 0.5) == labels[112:]) > 0.9
    assert fitted.history[-1]["loss"] < fitted.history[0]["loss"]
    assert fitted.history[-1]["held_out_map"] > 0.95
    assert fitted.history[-1]["held_out_loss"] < fitted.history[0]["held_out_loss"]


def test_the_level_of_a_window_does_not_matter(fitted, material):
    some = material[0][:8].astype(np.float32)
    np.testing.assert_allclose(fitted.scores(some - 35), fitted.scores(some), atol=1e-5)


def test_the_graph_gives_the_scores_of_the_network(fitted, material):
    graph = fitted.onnx()
    some = material[0][:16].astype(np.float32)
    np.testing.assert_allclose(Session(graph).predict(some), fitted.scores(some), atol=1e-4)


def test_the_same_seed_gives_the_same_network(settings, material):
    spectrograms, labels = material
    rows, few = np.arange(64), replace(settings, epochs=2)
    one, same, other = (
        network.fit(spectrograms, labels, rows, few, seed=seed).history for seed in (7, 7, 8)
    )
    assert one == same
    assert one != other


def test_the_shipped_shape_is_small_and_little_arithmetic():
    settings = load("instruments", ["network.epochs=1"]).network
    spectrograms = np.random.default_rng(0).normal(-40, 10, (8, *SHAPE)).astype(np.float32)
    graph = network.fit(spectrograms, np.ones((8, 11), bool), np.arange(8), settings, seed=1).onnx()
    assert len(graph) <= 3_000_000
    assert multiplications(graph) <= 40  # millions: less than 5 ms a window on one core


def test_at_most_so_many_windows_are_learned_from_as_asked(settings, material):
    spectrograms, labels = material
    once = replace(settings, epochs=1, members=1, batch=1000)
    all_of_them, of_64, of_few = (
        network.fit(spectrograms, labels, np.arange(count), replace(once, rows=rows), seed=7)
        for count, rows in ((64, 0), (64, 64), (160, 64))
    )
    assert all_of_them.history == of_64.history
    # 160 windows in one batch are another batch than 64 of them.
    assert of_few.history != network.fit(spectrograms, labels, np.arange(160), once, seed=7).history


def test_varied_spectrograms_keep_shape_and_type_and_differ(settings, material):
    some = material[0][:4].astype(np.float32)
    varied = network.augment(some, settings, np.random.default_rng(0))
    assert (varied.shape, varied.dtype) == (some.shape, some.dtype)
    assert not np.allclose(varied, some)
    assert np.isfinite(varied).all()


def test_a_blend_is_the_sum_of_powers_with_the_labels_of_both():
    settings = load("instruments", ["network.blends=0.5"]).network
    x = np.full((2, *SHAPE), -80, np.float32)
    x[0, 10], x[1, 90] = 0, -20
    on = np.eye(2, dtype=bool)
    for seed in range(10):
        mixed, labels = network.mixup(x, on, settings, np.random.default_rng(seed))
        assert mixed.dtype == np.float32
        np.testing.assert_array_equal(mixed[1], x[1])
        if labels[0].all():
            assert mixed[0, 10].min() == pytest.approx(0, abs=0.01)
            assert -15.1 <= mixed[0, 90].max() <= 0.1
            break
    else:
        pytest.fail("no window was mixed with the other")


def test_naming_the_one_instrument_or_saying_that_none_plays_is_rewarded(settings):
    on = torch.eye(3)[[0, 1]].repeat(2, 1) * torch.tensor([1, 1, 0, 0])[:, None]
    right = 6 * torch.cat([on, on.sum(1, keepdim=True)], 1) - 3
    wrong = torch.cat([right[:, :-1].roll(1, dims=1), right[:, -1:]], 1)
    loud = torch.cat([right[:, :-1], torch.full((4, 1), 3.0)], 1)
    losses = [float(network.loss_of(logits, on, settings)) for logits in (right, wrong, loud)]
    assert losses[0] < min(losses[1:])


def test_nothing_is_said_of_a_window_in_which_nothing_plays(settings):
    one = Spectrogram(settings, bands=128, labels=11).eval()
    with torch.no_grad():
        one.head.weight.zero_()
        one.head.bias.copy_(torch.tensor([9.0] * 11 + [-9.0]))
        assert one.scores(torch.zeros(2, 128, 87)).max() < 1e-3
        one.head.bias[-1] = 9.0
        assert one.scores(torch.zeros(2, 128, 87)).min() > 0.999
