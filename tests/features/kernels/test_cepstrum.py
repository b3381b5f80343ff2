"""The compiled cepstra are scipy's to the last bit, and so are their means librosa's."""

import hashlib

import librosa
import numpy as np
import pytest
import scipy.fft
from numpy.testing import assert_allclose

from features.banks import tables
from features.config import DEFAULT, AudioConfig
from features.extract import Analysis, extract
from features.kernels import cepstrum
from tests.features import oracle

TABLES = tables(DEFAULT)


def decibels(rows, *, seed=0, spread=20):
    """Mel bands of so many frames."""
    noise = np.random.default_rng(seed).standard_normal((rows, 128))
    return (spread * noise - 40).astype(np.float32)


@pytest.mark.parametrize(
    ("bands", "digest"),
    [
        (decibels(8), "1fe4f30eef53c545"),
        (decibels(8, seed=1, spread=1e-3), "61f20e0827e3894e"),
        (np.full((8, 128), -100, np.float32), "8a057bf71a5891fe"),
        (np.eye(128, dtype=np.float32)[::16], "5a573130d658005c"),
        (np.zeros((8, 128), np.float32), "ad7facb2586fc6e9"),
    ],
    ids=["noise", "nearly equal", "silence", "single bands", "zeros"],
)
def test_each_frames_cepstrum_is_scipys_and_the_same_bits_on_every_processor(bands, digest):
    lanes = np.ascontiguousarray(bands.T).ravel()
    cepstrum.transform(lanes, np.zeros_like(lanes), TABLES.cosines, TABLES.turns)
    oracle.assert_scipys_dct(lanes.reshape(128, 8).T, bands)
    assert hashlib.sha256(lanes.tobytes()).hexdigest().startswith(digest)


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 87])
@pytest.mark.parametrize("size", [1, 20, 128])
def test_means_are_over_the_chosen_rows_clipped_at_80_db(rows, size):
    mel = decibels(rows + 10)
    chosen = np.random.default_rng(rows).permutation(rows + 10)[:rows]
    rows_of = Analysis(DEFAULT, kind="features").make_rows(rows + 10)
    rows_of.values[:, -128:] = mel
    out = np.zeros(size, np.float32)
    cepstrum.mean_cepstra(rows_of.addresses[chosen], TABLES.cosines, TABLES.turns, out)
    clipped = np.maximum(mel[chosen], mel[chosen].max() - np.float32(80))
    assert clipped.max() - clipped.min() == 80 or rows < 7
    each = scipy.fft.dct(clipped, type=2, norm="ortho", axis=1)
    mean = each[:, :size].mean(axis=0, dtype=np.float64)
    assert_allclose(out, mean, rtol=1e-6, atol=max(1e-6, oracle.dct_rounding(each)))


@pytest.mark.parametrize("size", [13, 128])
def test_other_numbers_of_coefficients_equal_librosa(size):
    bands, sound = 128, oracle.melody(2)
    vector = extract(sound, config=AudioConfig(n_mels=bands, n_mfcc=size))
    each = librosa.feature.mfcc(y=sound, sr=oracle.RATE, n_mfcc=size, n_mels=bands)
    assert_allclose(vector[6:], each.mean(axis=1), rtol=1e-5, atol=1e-5)
