"""Training: it learns, keeps its best epoch, and goes on after a break to the same end."""

from dataclasses import replace

import numpy as np
import pytest

from training.common.recipe import RecipeError
from training.pictures.dataset.settings import Augment, Network
from training.pictures.learn.fit import Looks, TrainingData, class_weights, fit
from training.pictures.learn.history import best_epoch

NET = Network(
    name="a",
    maps=(6,),
    dropout=0.3,
    epochs=4,
    batch=16,
    optimizer="adamw",
    rate=0.01,
    schedule="one-cycle",
)
HOW = Augment(flip=True, shift=0.1, noise=4)


class Stop(Exception):
    pass


@pytest.fixture(scope="module")
def material():
    """Three classes of 40: noise, red noise, noise with a dark upper half."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (120, 12, 12, 3)).astype(np.uint8)
    labels = (np.arange(120) % 3).astype(np.int32)
    images[labels == 1, :, :, 1:] //= 3
    images[labels == 2, :6] //= 3
    return TrainingData(images, labels, np.arange(90), np.arange(90, 120), class_weights(labels, 3))


def trained(material, checkpoint, *, stop=0, network=NET):
    """Train; stop: pictures after which it is broken off."""

    def progress(done, total):
        assert 0 < done <= total == network.epochs * 90
        if done == stop:
            raise Stop

    return fit(network, HOW, material, seed=5, checkpoint=checkpoint, progress=progress)


def test_it_learns_and_gives_the_network_of_its_best_epoch(material, tmp_path):
    fitted = trained(material, tmp_path / "state.npz")
    assert len(fitted.history) == 4
    best = fitted.history[best_epoch(fitted.history) - 1]
    assert best["valid_loss"] == min(one["valid_loss"] for one in fitted.history)
    said = fitted.scores(material.images, material.valid).argmax(axis=1)
    assert (said == material.labels[material.valid]).mean() == pytest.approx(best["valid_accuracy"])
    assert best["valid_accuracy"] > 0.8


def test_more_is_measured_after_the_epochs_to_look_at_and_the_training_stays_the_same(
    material, tmp_path
):
    plain = trained(material, tmp_path / "plain.npz")
    looked = fit(NET, HOW, material, seed=5, checkpoint=tmp_path / "looked.npz",
                 progress=lambda done, total: None, looks=Looks((2, 4), (1, 2)))  # fmt: skip
    more = {"look_top1", "look_top2", "look_macro_f1"}
    assert [more <= one.keys() for one in looked.history] == [False, True, False, True]
    assert [one["valid_loss"] for one in looked.history] == [
        one["valid_loss"] for one in plain.history
    ]
    last = looked.history[-1]
    assert last["look_top1"] == pytest.approx(last["valid_accuracy"])
    assert last["look_top1"] <= last["look_top2"] <= 1


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_what_is_broken_off_goes_on_to_the_same_scores(optimizer, material, tmp_path):
    network = Network(name="b", maps=(6,), dropout=0.3, epochs=3, batch=16, optimizer=optimizer)
    whole = trained(material, tmp_path / "whole.npz", network=network)
    with pytest.raises(Stop):
        trained(material, tmp_path / "broken.npz", stop=2 * 90 + 32, network=network)
    again = trained(material, tmp_path / "broken.npz", network=network)
    assert [one["valid_loss"] for one in again.history] == [
        one["valid_loss"] for one in whole.history
    ]
    rows = np.arange(120)
    assert np.array_equal(whole.scores(material.images, rows), again.scores(material.images, rows))


@pytest.mark.parametrize(("patience", "epochs"), [(1, 2), (3, 4), (5, 6), (0, 6)])
def test_a_training_ends_after_so_many_epochs_without_a_lower_loss(
    patience, epochs, material, tmp_path
):
    # The more it learns, the worse it is on a validation part whose labels are wrong.
    labels = np.where(np.arange(120) < 90, material.labels, (material.labels + 1) % 3)
    wrong = replace(material, labels=labels)
    network = Network(name="c", maps=(6,), epochs=6, batch=16, rate=0.01, patience=patience)
    history = trained(wrong, tmp_path / "state.npz", network=network).history
    assert best_epoch(history) == 1
    assert len(history) == epochs
    assert trained(wrong, tmp_path / "state.npz", network=network).history == history


def test_a_training_that_diverges_says_so_and_what_to_change(material, tmp_path):
    wild = Network(name="wild", maps=(6,), norm=False, epochs=3, rate=1e30)
    with pytest.raises(RecipeError, match=r"'wild' diverges in epoch 1: lower rate=1e\+30"):
        trained(material, tmp_path / "state.npz", network=wild)
    assert not list(tmp_path.iterdir())


def test_rare_classes_weigh_more_and_absent_ones_do_not_divide_by_zero():
    assert class_weights(np.array([0, 0, 0, 1]), 2).tolist() == pytest.approx([2 / 3, 2])
    assert np.isfinite(class_weights(np.array([0, 0]), 3)).all()
