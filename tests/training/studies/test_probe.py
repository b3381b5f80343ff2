"""What one window costs is measured where nothing else lies in memory."""

import sys

import numpy as np
import pytest

from training.studies.estimators import AllAtOnce, OneByOne, forest
from training.studies.probe import measure, probe

ROWS = np.random.default_rng(0).normal(size=(400, 26))
LABELS = ROWS[:, :3] > 0
MODULES = ("sklearn.ensemble", "sklearn.naive_bayes", "training.studies.estimators")


@pytest.fixture(scope="module")
def small():
    from sklearn.naive_bayes import GaussianNB

    learner = OneByOne(GaussianNB())
    learner.fit(ROWS, LABELS)
    return learner


@pytest.fixture(scope="module")
def large():
    learner = forest(seed=1, jobs=1, trees=300)
    assert isinstance(learner, AllAtOnce)
    learner.fit(ROWS, LABELS)
    return learner


@pytest.mark.slow  # trains a large model
def test_a_larger_model_takes_more_room(small, large):
    cheap, dear = (probe(learner, ROWS[:1], MODULES) for learner in (small, large))
    assert set(cheap) == {"ms", "mb", "size_mb"}
    assert min(dear["ms"], cheap["ms"]) > 0
    assert dear["size_mb"] > 10 * cheap["size_mb"] > 0
    if sys.platform == "linux":
        assert dear["mb"] > cheap["mb"] >= 0


def test_it_is_one_line_of_json_and_the_model_is_what_was_given(small, tmp_path):
    import joblib

    joblib.dump(small, tmp_path / "model")
    np.save(tmp_path / "row.npy", ROWS[:1])
    found = measure(tmp_path / "model", tmp_path / "row.npy", MODULES)
    assert found["ms"] > 0
