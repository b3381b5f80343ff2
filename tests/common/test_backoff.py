"""Pauses between attempts."""

import pytest

from common.backoff import pause_s


@pytest.mark.parametrize(
    ("failed", "seconds"),
    [(0, 0.5), (1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (1_024, 60.0), (10**9, 60.0)],
)
def test_pauses_double_up_to_the_longest_however_many_attempts_failed(failed, seconds):
    assert pause_s(failed, first_s=0.5, longest_s=60.0) == seconds
