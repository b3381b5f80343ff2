from dataclasses import replace

import numpy as np
import pytest
import torch

from training.pictures.dataset.settings import Augment
from training.pictures.learn.fit import TrainingData, class_weights
from training.pictures.learn.history import Diverged, epochs_since_best
from training.pictures.transfer.transfer import _with_gaps, build, reset, train
from training.pictures.transfer.transfer_settings import PARTS, Network, StageSettings

pytestmark = pytest.mark.usefixtures("tiny_backbone")

NETWORK = Network(backbone="mobilenet-v3-small", weights="none", dense=(8,))


@pytest.fixture(scope="module")
def material():
    rng = np.random.default_rng(0)
    labels = np.arange(24) % 2
    images = rng.integers(0, 100, (24, 32, 32, 3), np.uint8)
    images[labels == 1, :16] += 150
    facts = np.eye(2, dtype=np.uint8)[labels]
    return TrainingData(
        images, labels, np.arange(16), np.arange(16, 24), class_weights(labels, 2), facts
    )


def learner(seed=1, extra=2):
    return build(NETWORK, height=32, width=32, labels=2, extra=extra, seed=seed)


def nothing(history):
    pass


def weights(made):
    return {part: [w for layer in made.parts[part] for w in layer.get_weights()] for part in PARTS}


def changed(before, after):
    return {
        part
        for part in PARTS
        if any(not np.array_equal(a, b) for a, b in zip(before[part], after[part], strict=True))
    }


def test_the_head_learns_alone_and_then_everything_at_its_rate(material, tmp_path):
    made = learner()
    start = weights(made)
    head = StageSettings(epochs=1, classifier=1e-2, batch=8)
    train(made, head, Augment(), material, seed=1, checkpoint=tmp_path / "head.pt", report=nothing)
    assert changed(start, weights(made)) == {"classifier"}
    after = weights(made)
    fine = StageSettings(
        epochs=1, middle=1e-3, high=1e-3, classifier=1e-3, batch=8, one_cycle=False
    )
    train(made, fine, Augment(), material, seed=1, checkpoint=tmp_path / "fine.pt", report=nothing)
    assert changed(after, weights(made)) == {"middle", "high", "classifier"}


@pytest.mark.slow  # two trainings
def test_with_missing_facts_both_kinds_are_learnt_and_validated(material, tmp_path):
    # Pictures say nothing here, facts say all: only without facts is every epoch a guess.
    grey = replace(material, images=np.full_like(material.images, 90), fields=(2,))
    stage = StageSettings(epochs=8, classifier=3e-2, batch=4, patience=8, one_cycle=False)
    accuracy = {}
    for missing in (0.0, 0.5):
        made, given = learner(), replace(grey, missing=missing)
        path = tmp_path / f"{missing}.pt"
        found = train(made, stage, Augment(), given, seed=1, checkpoint=path, report=nothing)
        accuracy[missing] = max(one["valid_accuracy"] for one in found)
        said = made.logits(given, given.valid).argmax(axis=1)
        assert (said == given.labels[given.valid]).all()
    assert accuracy == {0.0: 1.0, 0.5: 0.75}


def test_missing_fields_are_all_zero_each_for_itself():
    facts = torch.ones((2000, 5))
    given = TrainingData(*[np.zeros(0)] * 5, fields=(2, 3), missing=0.25)
    gaps = _with_gaps(facts, given, torch.Generator().manual_seed(0))
    first, second = gaps[:, :2], gaps[:, 2:]
    for field in (first, second):
        assert (field.amin(1) == field.amax(1)).all()
        assert float(field[:, 0].mean()) == pytest.approx(0.75, abs=0.04)
    assert float((first[:, 0] * second[:, 0]).mean()) == pytest.approx(0.75**2, abs=0.04)


def test_a_frozen_epoch_leaves_the_backbone_as_it_was(material, tmp_path):
    made = learner()
    start = weights(made)
    stage = StageSettings(
        epochs=1, frozen=1, low=1e-2, middle=1e-2, high=1e-2, classifier=1e-2, batch=8
    )
    train(made, stage, Augment(), material, seed=1, checkpoint=tmp_path / "a.pt", report=nothing)
    assert changed(start, weights(made)) == {"classifier"}


def test_resets_begin_from_chance_and_spare_the_rest():
    made = learner()
    start = weights(made)
    reset(made, ("low", "classifier"), NETWORK, seed=2)
    assert changed(start, weights(made)) == {"low", "classifier"}
    reset(made, (), NETWORK, seed=3)
    assert changed(start, weights(made)) == {"low", "classifier"}


class Killed(Exception):
    pass


def test_a_training_that_was_broken_off_ends_as_one_that_was_not(material, tmp_path):
    stage = StageSettings(epochs=3, high=1e-3, classifier=1e-2, batch=8, frozen=1)
    whole = learner()
    expected = train(
        whole,
        stage,
        Augment(flip=True),
        material,
        seed=1,
        checkpoint=tmp_path / "a.pt",
        report=nothing,
    )

    def kill(history):
        if len(history) == 2:
            raise Killed

    with pytest.raises(Killed):
        train(
            learner(),
            stage,
            Augment(flip=True),
            material,
            seed=1,
            checkpoint=tmp_path / "b.pt",
            report=kill,
        )
    again, reported = learner(), []
    history = train(
        again,
        stage,
        Augment(flip=True),
        material,
        seed=1,
        checkpoint=tmp_path / "b.pt",
        report=reported.append,
    )
    assert len(reported) == 1
    for key in ("loss", "valid_loss", "valid_accuracy"):
        assert [one[key] for one in history] == pytest.approx(
            [one[key] for one in expected], rel=1e-4
        )
    rows = np.arange(24)
    np.testing.assert_allclose(
        again.logits(material, rows), whole.logits(material, rows), atol=1e-4
    )


def test_the_classifier_learns_what_metadata_tells(material, tmp_path):
    made = learner()
    stage = StageSettings(epochs=12, classifier=3e-2, batch=8, patience=12)
    history = train(
        made, stage, Augment(), material, seed=1, checkpoint=tmp_path / "a.pt", report=nothing
    )
    assert history[-1]["valid_accuracy"] == 1.0


def test_a_stage_ends_when_patience_does(material, tmp_path):
    stage = StageSettings(
        epochs=20, classifier=1e-9, patience=1, batch=16, one_cycle=False, optimizer="sgd"
    )
    history = train(
        learner(), stage, Augment(), material, seed=1, checkpoint=tmp_path / "a.pt", report=nothing
    )
    assert len(history) < 20
    assert epochs_since_best(history) == 1


def test_a_training_that_diverges_says_which_rates_to_lower(material, tmp_path):
    stage = StageSettings(
        epochs=3, low=10, high=10, classifier=10, batch=8, optimizer="sgd", one_cycle=False
    )
    # The sum of such weights is more than a float32 holds, so the loss is no number.
    overflowing = replace(material, weights=np.full(2, 3e38, np.float32))
    with pytest.raises(
        Diverged, match=r"diverges in epoch \d of a stage: lower low=10, high=10, classifier=10$"
    ):
        train(
            learner(),
            stage,
            Augment(),
            overflowing,
            seed=1,
            checkpoint=tmp_path / "a.pt",
            report=nothing,
        )
