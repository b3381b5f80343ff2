import librosa
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from features.banks import TUNING_EDGES, chroma_bank, mel_bank, tables
from features.config import DEFAULT, AudioConfig


@pytest.mark.parametrize(
    "config", [DEFAULT, AudioConfig(sample_rate=44_100), AudioConfig(n_mels=40)]
)
def test_the_mel_bank_is_librosas(config):
    expected = librosa.filters.mel(sr=config.sample_rate, n_fft=2_048, n_mels=config.n_mels)
    assert_allclose(mel_bank(config), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("tuning_bin", [0, 17, 50, 99])
def test_the_chroma_bank_is_librosas(tuning_bin):
    expected = librosa.filters.chroma(sr=22_050, n_fft=2_048, tuning=TUNING_EDGES[tuning_bin])
    assert_allclose(chroma_bank(DEFAULT, tuning_bin), expected, rtol=1e-6, atol=1e-12)


def test_the_sparse_mel_weights_hold_the_whole_bank():
    t, bank = tables(DEFAULT), mel_bank(DEFAULT)
    again = np.zeros_like(bank)
    for band, start in enumerate(t.mel_start):
        weights = t.mel_weights[t.mel_offset[band] : t.mel_offset[band + 1]]
        again[band, start : start + weights.size] = weights
    assert_array_equal(again, bank)


def test_the_window_is_the_periodic_hann_window():
    assert_allclose(tables(DEFAULT).window, librosa.filters.get_window("hann", 2_048), atol=1e-15)
