import librosa
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from features import transform, window
from features.config import DEFAULT
from features.extract import Frames, reach
from tests.features import oracle


def analysed(sound):
    """One block of eight frames of an unpadded sound."""
    frames = Frames(DEFAULT, rows=8, kind="features")
    signal = np.zeros(reach(8), np.float32)
    signal[: sound.size] = sound[: signal.size]
    frames.analyse(signal, offset=0, real=(-1, signal.size), row=0, count=8)
    return frames, signal


def test_the_power_spectrum_is_librosas_to_the_last_bit_of_nearly_all_values():
    frames, signal = analysed(oracle.melody(0))
    expected = np.abs(librosa.stft(signal, center=False)).T ** 2
    assert expected.shape == frames._power.shape
    assert (frames._power == expected).mean() > 0.999
    assert_allclose(frames._power, expected, rtol=1e-5, atol=1e-12)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 10, 101, 1_000])
def test_the_median_is_numpys(size):
    values = np.random.default_rng(size).integers(0, 50, size).astype(np.float32)
    assert window.median(values.copy(), size) == np.median(values)


def test_eight_by_eight_tiles_are_turned():
    _, signal = analysed(oracle.noise(0))
    columns = np.zeros(transform.HOP * transform.STRIDE, np.float32)
    transform.interleave(signal, 0, columns)
    assert_array_equal(columns.reshape(512, 16)[:, :11], signal[: 11 * 512].reshape(11, 512).T)


def test_reach_is_the_end_of_the_last_block():
    assert [reach(count) for count in (1, 8, 9, 87)] == [5_632, 5_632, 9_728, 46_592]


@pytest.mark.parametrize("before", [-1, 1])
def test_what_stands_before_the_first_sample_is_no_crossing(before):
    frames = Frames(DEFAULT, rows=8, kind="features")
    around = np.full(1 + reach(8), before, np.float32)
    signal = around[1:-1]
    signal[:] = oracle.noise(3)[: signal.size]
    frames.analyse(signal, offset=0, real=(-1, signal.size), row=0, count=7)
    expected = librosa.feature.zero_crossing_rate(signal, center=False)[0][:7]
    assert_allclose(frames._stats[:7, 5], expected, rtol=1e-12)
