"""Every model of the comparison learns, and its scores are probabilities for any labels."""

import numpy as np
import pytest

from training.studies import estimators
from training.studies.estimators import AllAtOnce, OneByOne, Prepared

RNG = np.random.default_rng(0)
HIDDEN = RNG.normal(size=(300, 2))
SCALES = np.geomspace(0.01, 1000, 26)
ROWS = ((HIDDEN @ RNG.normal(size=(2, 26)) + 0.3 * RNG.normal(size=(300, 26))) * SCALES).astype(
    np.float32
)
LABELS = np.stack(
    [HIDDEN[:, 0] > 0, HIDDEN[:, 1] > 0, np.zeros(300, bool), np.ones(300, bool)], axis=1
)
LEARNERS = {
    **estimators.original_models(seed=1, jobs=1),
    **estimators.recent_models(seed=1, jobs=1),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_it_learns_and_constant_labels_are_no_trouble(name):
    learner = LEARNERS[name]
    learner.fit(ROWS[:200], LABELS[:200])
    scores = learner.scores(ROWS[200:])
    assert (scores.shape, scores.dtype) == ((100, 4), np.float32)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert (scores[:, 2] < 0.5).all()
    assert (scores[:, 3] > 0.5).all()
    right = np.mean((scores[:, :2] >= 0.5) == LABELS[200:, :2])
    assert right > 0.8 or name == "DummyClassifier"


@pytest.mark.parametrize(
    "learner", [estimators.forest(seed=1, jobs=1, trees=10), LEARNERS["linear SVM"]]
)
def test_one_label_is_enough(learner):
    learner.fit(ROWS, LABELS[:, :1])
    scores = learner.scores(ROWS)
    assert scores.shape == (300, 1)
    assert np.mean((scores >= 0.5) == LABELS[:, :1]) > 0.9


def test_scale_and_components_come_from_training_rows_alone():
    learner = Prepared(AllAtOnce(LEARNERS["GaussianNB"].model.template), 3)
    learner.model = OneByOne(learner.model.estimator)
    learner.fit(ROWS[:200], LABELS[:200])
    before = [step.__dict__.copy() for step in learner.steps]
    learner.scores(1000 * ROWS)
    assert [sorted(step.__dict__) for step in learner.steps] == [sorted(state) for state in before]
    np.testing.assert_allclose(learner.steps[0].mean_, ROWS[:200].astype(float).mean(axis=0))
    assert learner.steps[1].n_components_ == 3
