from itertools import pairwise

import librosa
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from features.config import DEFAULT
from features.extract import Analysis, reach
from features.kernels import layout, transform, window
from tests.features import oracle


def analysed(sound):
    """One block of eight frames of an unpadded sound."""
    analysis = Analysis(DEFAULT, kind="features")
    rows, signal = analysis.make_rows(8), np.zeros(reach(8), np.float32)
    signal[: sound.size] = sound[: signal.size]
    analysis.analyse(signal, offset=0, real=(-1, signal.size), rows=rows.addresses)
    return rows, signal


def power(rows):
    at = layout.POWER_AT // 4
    return rows.values[:, at : at + layout.BINS]


def test_the_power_spectrum_is_librosas_to_the_last_bit_of_nearly_all_values():
    rows, signal = analysed(oracle.melody(0))
    expected = np.abs(librosa.stft(signal, center=False)).T ** 2
    assert expected.shape == power(rows).shape
    assert (power(rows) == expected).mean() > 0.999
    assert_allclose(power(rows), expected, rtol=1e-5, atol=1e-12)


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
    analysis = Analysis(DEFAULT, kind="features")
    rows = analysis.make_rows(7)
    around = np.full(1 + reach(8), before, np.float32)
    signal = around[1:-1]
    signal[:] = oracle.noise(3)[: signal.size]
    analysis.analyse(signal, offset=0, real=(-1, signal.size), rows=rows.addresses)
    expected = librosa.feature.zero_crossing_rate(signal, center=False)[0][:7]
    assert_allclose(rows.values[:, :12].view(np.float64)[:, 5], expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["features", "log_mel"])
def test_a_window_is_the_same_wherever_its_rows_lie(kind):
    analysis, sound = Analysis(DEFAULT, kind=kind), oracle.melody(3)
    signal, count = np.zeros(reach(23), np.float32), 23
    signal[: sound.size] = sound[: signal.size]
    whole = analysis.make_rows(count)
    parts = [analysis.make_rows(size) for size in (5, 1, 9, 8)]
    apart = np.concatenate([part.addresses[::-1] for part in parts[::-1]])
    for rows in (whole.addresses, apart):
        analysis.analyse(signal, offset=0, real=(-1, signal.size), rows=rows)
    assert_array_equal(analysis.tensor(apart), analysis.tensor(whole.addresses))


def test_the_parts_of_a_row_do_not_overlap():
    parts = [
        (layout.STATS_AT, 8 * 6), (layout.COUNT_AT, 8), (layout.TUNED_AT, 8),
        (layout.POWER_AT, 4 * layout.BINS), (layout.HEIGHTS_AT, 4 * layout.PEAKS),
        (layout.TUNINGS_AT, layout.PEAKS), (layout.MEL_AT, 0),
    ]  # fmt: skip
    for (at, size), (following, _) in pairwise(parts):
        assert at + size <= following
