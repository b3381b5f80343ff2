"""Standardisation: columns that change, hardly change and do not."""

import numpy as np
import pytest

from training.common.standard import ALIKE, ROUNDING, mean_and_scale


def test_columns_that_change_have_their_mean_and_deviation():
    rows = np.random.default_rng(0).normal([1, -50, 3000], [0.01, 7, 400], (100, 3))
    mean, scale = mean_and_scale(rows.astype(np.float32))
    np.testing.assert_allclose(mean, rows.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scale, rows.std(axis=0), rtol=1e-3)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, -7.3, 12_345.678])
def test_what_comes_later_in_a_column_that_never_changed_counts_nothing(kind, value):
    rows = np.full((1000, 600), value, kind)
    rows[:, 0] = np.arange(1000)
    mean, scale = mean_and_scale(rows)
    later = (rows[0] + 100 - mean) / scale
    assert later[0] != 0
    assert not later[1:].any()


def test_a_column_is_rounding_up_to_a_millionth_of_its_mean():
    noise = np.resize([-1.0, 1.0], 100)
    for factor, changes in ((0.9, False), (1.1, True)):
        scale = mean_and_scale(100 * (1 + factor * ROUNDING * noise)[:, None])[1]
        assert np.isfinite(scale[0]) == changes


def test_of_columns_of_one_unit_one_that_hardly_changes_counts_nothing():
    noise = np.resize([-1.0, 1.0], 100)[:, None]
    for unit in (1e-9, 1.0, 1e6):
        spread = unit * np.array([1, 1, 1, 0.9 * ALIKE, 1.1 * ALIKE]) / [1, 1, 1, 1.3, 0.7]
        for alike, expected in ((True, [1, 1, 1, 0, 1]), (False, [1, 1, 1, 1, 1])):
            finite = np.isfinite(mean_and_scale(noise * spread, alike=alike)[1])
            assert finite.tolist() == [bool(one) for one in expected]


def test_columns_none_of_which_changes_count_nothing():
    assert np.isinf(mean_and_scale(np.ones((5, 3)), alike=True)[1]).all()
