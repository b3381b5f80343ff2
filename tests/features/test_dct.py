"""The DCT in numpy is scipy's: to the last bit for powers of two, else within two roundings."""

import warnings

import librosa
import numpy as np
import pytest
import scipy.fft
from numpy.testing import assert_allclose

from features.config import AudioConfig
from features.dct import dct
from features.extract import extract
from tests.features import oracle


def decibels(size, *, spread):
    noise = np.random.default_rng(size).standard_normal((87, size))
    return (spread * noise - 40).astype(np.float32)


def scipys(values):
    return scipy.fft.dct(values, type=2, norm="ortho", axis=1)


@pytest.mark.parametrize("size", [2, 4, 8, 16, 32, 64, 128, 256, 512])
@pytest.mark.parametrize("spread", [20, 1e-4])
def test_a_power_of_two_is_scipys_to_the_last_bit(size, spread):
    values = decibels(size, spread=spread)
    assert dct(values).dtype == np.float32
    oracle.assert_scipys_dct(dct(values), values)


@pytest.mark.parametrize("size", [1, 3, 5, 6, 7, 20, 40, 41, 63, 80, 96, 100, 127, 129, 200, 1_021])
@pytest.mark.parametrize("spread", [20, 1e-4])
def test_any_other_size_is_scipys_within_two_roundings(size, spread):
    values, rounding = decibels(size, spread=spread), np.finfo(np.float32).eps
    expected = scipys(values)
    assert_allclose(dct(values), expected, rtol=0, atol=2 * rounding * np.abs(expected).max())


@pytest.mark.parametrize(
    ("bands", "size"),
    # Each is librosa on all sounds.
    [
        (40, 20),
        *(
            pytest.param(*each, marks=pytest.mark.slow)
            for each in ((20, 20), (64, 20), (100, 40), (127, 20))
        ),
    ],
)
def test_features_of_other_numbers_of_bands_are_librosas(bands, size):
    config = AudioConfig(n_mels=bands, n_mfcc=size)
    for name, sound in oracle.SOUNDS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of bands without a bin
            each = librosa.feature.mfcc(y=sound, sr=oracle.RATE, n_mfcc=size, n_mels=bands)
        expected = each.mean(axis=1)
        vector = extract(sound, config=config)[6:]
        assert_allclose(vector, expected, rtol=2e-6, atol=2e-6, err_msg=name)
