"""Thresholds from generated noise keep the promotion check's noise without a label."""

import numpy as np
import pytest

from features.config import DEFAULT
from features.extract import FEATURE_NAMES
from training.evaluation import generated_noise
from training.evaluation.generated_noise import noise_floors, share_without_label


class Loud:
    """Scores by level: a model that labels whatever is loud."""

    def scores(self, tensors):
        level = np.asarray(tensors)[:, FEATURE_NAMES.index("rms"), None]
        return np.concatenate([np.clip(level, 0, 1), np.clip(level * 0.5, 0, 1)], axis=1)


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(generated_noise, "WINDOWS", 600)


def test_the_check_is_met_with_the_thresholds_and_not_without(few):
    floors = noise_floors(Loud(), "features", DEFAULT, quiet=0.99).astype(np.float32)
    assert share_without_label(Loud(), "features", DEFAULT, floors) >= 0.99
    assert share_without_label(Loud(), "features", DEFAULT, floors / 4) < 0.99


@pytest.mark.slow  # scores all noise once more
def test_a_lower_share_leaves_lower_thresholds(few):
    strict, loose, none = (
        noise_floors(Loud(), "features", DEFAULT, quiet=quiet) for quiet in (0.99, 0.6, 0.0)
    )
    assert (strict > loose).any()
    assert (strict >= loose).all()
    assert (loose >= none).all()
    assert strict.max() <= 1.0
