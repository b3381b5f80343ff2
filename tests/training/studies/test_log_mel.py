"""The log-mel network among the models that are compared."""

import numpy as np

from training.studies.log_mel import LogMel

RNG = np.random.default_rng(0)


def test_the_log_mel_network_is_the_recipe_s_with_one_member():
    rows = RNG.normal(-50, 5, (32, 128, 87)).astype(np.float16)
    learner = LogMel(seed=1, epochs=1)
    learner.fit(rows, np.eye(2, dtype=bool)[np.arange(32) % 2])
    assert len(learner.fitted.members) == 1
    assert learner.scores(rows[:3]).shape == (3, 2)
