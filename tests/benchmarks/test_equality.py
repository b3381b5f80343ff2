"""A stream of ours says what the file says; other ways are measured beside it and do not."""

import pytest

from benchmarks import equality
from benchmarks.equality import run, shortfalls


@pytest.fixture(scope="module")
def table():
    return run(tiny=True)


def test_each_way_is_measured_for_each_model(table):
    names = [row["name"] for row in table]
    assert names == 2 * [
        "timbre",
        "each message resampled",
        "each window resampled",
        "windows begin with a message",
    ]
    assert {row["what"].split(",")[0] for row in table} == set(equality.MODELS)


def test_only_our_stream_has_the_scores_of_the_file(table):
    assert [row["name"] for row in table if row["worst_score"] == 0] == ["timbre", "timbre"]


def test_a_difference_of_ours_is_named_and_others_are_expected(table):
    assert shortfalls(table) == []
    (line,) = shortfalls([{**table[0], "worst_score": 1e-7}])
    assert line.endswith("a score differs by 1e-07")


def test_a_sound_that_ends_within_a_window_is_filled_up():
    config = equality.Store(equality.DEFAULT_PATH).load("instruments").sound[0]
    window = equality._cut(equality.plucked(1), 0, config)
    assert len(window) == config.window
    assert window[-1] == 0
