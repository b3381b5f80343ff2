"""The feature benchmark runs, compares equals, and says when a budget is missed."""

import librosa
import numpy as np
import pytest

from benchmarks import features
from benchmarks.features import BUDGETS, _frames, librosa_features, run, shortfalls
from benchmarks.signals import plucked
from features.extract import extract

WHAT = {
    features.WINDOW: ["timbre", "librosa", "FFTs, float64", "FFTs, float32"],
    features.LIVE: ["timbre", "librosa"],
    features.SECOND: ["timbre", "numpy and soxr"],
}


@pytest.fixture(scope="module")
def table():
    return run(tiny=True)


def test_each_is_measured_beside_what_it_is_compared_with(table):
    compared = {what: [row["name"] for row in table if row["what"] == what] for what in WHAT}
    assert compared == WHAT


def test_what_is_compared_gives_the_same_numbers():
    window = plucked(2)
    np.testing.assert_allclose(extract(window), librosa_features(window), rtol=1e-5, atol=1e-6)


def test_the_frames_of_the_bare_transforms_arelibrosa_featuress():
    window = plucked(2)
    spectrum = np.fft.rfft(_frames(window), axis=1).T
    np.testing.assert_allclose(spectrum, librosa.stft(window), rtol=1e-5, atol=1e-5)


def test_a_missed_budget_is_named(table):
    slow = [{**row, "ratio": 0.9 * BUDGETS.get((row["what"], row["name"]), 1)} for row in table]
    assert len(shortfalls(slow)) == len(BUDGETS) == 3
    fast = [{**row, "ratio": BUDGETS.get((row["what"], row["name"]), 1)} for row in table]
    assert shortfalls(fast) == []
