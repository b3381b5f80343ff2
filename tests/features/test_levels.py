"""What levels are audio, for files and streams alike."""

import numpy as np
import pytest

from common.errors import Unprocessable
from features.levels import MAX_FLOAT, check_levels


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 16.001, -16.001, 3e38])
@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_a_single_sample_that_is_not_audio_is_rejected(value, shape):
    samples = np.zeros(shape, np.float32)
    samples[1] = value
    with pytest.raises(Unprocessable, match="far beyond"):
        check_levels(samples)


@pytest.mark.parametrize("samples", [[], [0], [MAX_FLOAT, -MAX_FLOAT]])
def test_audio_passes(samples):
    check_levels(np.array(samples, np.float32))
