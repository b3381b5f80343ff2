"""Levels and spectra of sound that comes in chunks."""

import numpy as np
import pytest

from common.errors import Unprocessable
from service.monitor.check.measure import LOWEST_DB, Measurement, decibels
from tests.service.monitor.check.sounds import NOISE, RATE, TIME, db, measured, room


def test_levels_are_those_of_the_samples():
    found = measured(db(-40) * NOISE)
    assert found.seconds == 12
    assert found.mean_db == pytest.approx(-40, abs=0.1)
    assert found.floor_db == pytest.approx(-40, abs=0.5)
    # By Parseval, whatever the taper.
    assert decibels(found.mean.sum()) == pytest.approx(-40, abs=0.1)


def test_a_sine_of_full_scale_has_its_power_at_its_frequency():
    found = measured(np.sin(2 * np.pi * 1_000 * TIME))
    assert found.peak_db == pytest.approx(0, abs=0.01)
    assert decibels(found.mean[998:1_003].sum()) == pytest.approx(-3, abs=0.1)
    assert found.mean[:900].sum() < 1e-6


def test_what_comes_and_goes_is_not_constant():
    found = measured(room())
    assert decibels(found.mean[440]) > -32
    assert decibels(found.constant[440]) < -90


def test_the_result_does_not_depend_on_the_chunks():
    sound = np.stack([room(), 0.5 * room()], axis=1)
    few, many = measured(sound, chunk=RATE), measured(sound, chunk=1_001)
    np.testing.assert_allclose(few.mean, many.mean, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(few.bands, many.bands, rtol=1e-4, atol=1e-12)
    assert few.floor_db == pytest.approx(many.floor_db)


@pytest.mark.parametrize("samples", [0, 1, RATE - 1])
def test_less_than_a_second_has_levels_of_nothing_and_no_spectrum(samples):
    found = measured(room()[:samples])
    assert found.seconds == samples / RATE
    assert found.floor_db == LOWEST_DB
    assert not found.mean.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 17.0])
def test_what_is_no_sound_is_refused(bad):
    with pytest.raises(Unprocessable):
        Measurement(sample_rate=8_000, channels=1).feed(np.array([0, bad], np.float32))


@pytest.mark.parametrize("rate", [8_000, 48_000])
def test_any_rate_of_a_stream_has_a_spectrum(rate):
    found = measured(room()[: 3 * rate], rate=rate)
    assert found.mean.shape == (rate // 2 + 1,)
    assert found.bands[-1, 0] < rate / 2
