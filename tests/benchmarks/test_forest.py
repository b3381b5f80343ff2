"""The forest benchmark runs, and compares what it says it compares."""

import pytest

from benchmarks.forest import run


@pytest.fixture(scope="module")
def table():
    return run(tiny=True)


def test_every_subject_is_measured_with_1_and_32_rows(table):
    subjects = [(row["name"], row["rows"]) for row in table]
    assert subjects == [
        (name, rows) for rows in (1, 32) for name in ("timbre", "scikit-learn", "skl2onnx")
    ]


def test_ratios_are_those_of_the_round_with_their_quartiles(table):
    for row in table:
        assert 0 < row["p25_ms"] <= row["median_ms"] <= row["p75_ms"]
        assert row["rounds"] == 1  # so that its ratio is that of the medians
        assert row["ratio_p25"] == row["ratio"] == row["ratio_p75"]
    ours = {row["rows"]: row["median_ms"] for row in table if row["name"] == "timbre"}
    assert [row["ratio"] for row in table] == [
        pytest.approx(row["median_ms"] / ours[row["rows"]]) for row in table
    ]
