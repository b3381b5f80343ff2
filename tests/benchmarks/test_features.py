"""The feature benchmark runs, compares equals, and says when a budget is missed."""

import numpy as np
import pytest

from benchmarks.features import _librosa, run, shortfalls
from benchmarks.signals import plucked
from features.extract import extract


@pytest.fixture(scope="module")
def table():
    return run(tiny=True)


def test_both_are_measured_whole_and_live(table):
    assert [(row["name"], row["what"]) for row in table] == [
        (name, what) for what in ("window", "live hop 0.5 s") for name in ("timbre", "librosa")
    ]


def test_what_is_compared_gives_the_same_numbers():
    window = plucked(2)
    np.testing.assert_allclose(extract(window), _librosa(window), rtol=1e-5, atol=1e-6)


def test_a_missed_budget_is_named(table):
    slow = [{**row, "median_ms": 1.0, "ratio": 2.0} for row in table]
    assert len(shortfalls(slow)) == 4
    fast = [{**row, "median_ms": 0.1, "ratio": 100.0} for row in table]
    assert shortfalls(fast) == []
