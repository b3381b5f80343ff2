"""The networks of the comparison: the named size, learning, the same again from the same seed."""

import numpy as np
import pytest

from training.studies.dense import ORIGINAL_PARAMETERS, SHAPES, Dense, LogMel, named, width

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


def test_the_log_mel_network_is_the_recipe_s_with_one_member():
    rows = RNG.normal(-50, 5, (32, 128, 87)).astype(np.float16)
    learner = LogMel(seed=1, epochs=1)
    learner.fit(rows, np.eye(2, dtype=bool)[np.arange(32) % 2])
    assert len(learner.fitted.members) == 1
    assert learner.scores(rows[:3]).shape == (3, 2)
