"""What counting costs is measured, and held against the budget."""

import pytest

from benchmarks import metrics
from tests.service.conftest import artefacts  # noqa: F401 - fixture


def test_the_counting_of_a_window_is_held_against_the_window(artefacts):  # noqa: F811
    options = ["--artefacts", str(artefacts)]
    (row,) = metrics.run(tiny=True, options=options, model="toy")
    assert row["counting_us"] > 0
    assert row["window_us"] > 0
    assert row["percent"] == pytest.approx(100 * row["counting_us"] / row["window_us"])


def test_what_is_over_the_budget_is_told():
    assert metrics.shortfalls([{"percent": 1.0, "dropped": 0}]) == []
    over = [{"percent": 1.5, "dropped": 0}]
    assert metrics.shortfalls(over) == ["counting: 1.50 %, at most 1.0 %"]
    (line,) = metrics.shortfalls([{"percent": 0.1, "dropped": 7}])
    assert "7 windows were dropped" in line
