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


def test_ratios_are_medians_divided_by_ours(table):
    ours = {row["rows"]: row["median_ms"] for row in table if row["name"] == "timbre"}
    for row in table:
        assert 0 < row["p10_ms"] <= row["median_ms"] <= row["p90_ms"]
        assert row["ratio"] == pytest.approx(row["median_ms"] / ours[row["rows"]])
