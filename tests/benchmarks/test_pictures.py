"""The benchmark of pictures runs, and says which budget is missed."""

import pytest

from benchmarks import pictures


def test_a_tiny_run_has_a_row_for_each_subject():
    table = pictures.run(tiny=True)
    assert [(row["what"], row["name"]) for row in table] == [
        *((pictures.ALONE, name) for name in ("bare", "decode", "request", "overhead")),
        *((pictures.CROWD, name) for name in ("bare", "served", "idle")),
    ]
    assert all(row["median_ms"] > 0 for row in table if row["name"] not in {"overhead", "idle"})


@pytest.mark.parametrize(
    ("overhead", "served", "missed"), [(2.0, 10.0, 0), (2.01, 10.0, 1), (1.0, 10.1, 1), (3, 12, 2)]
)
def test_budgets_are_held_at_their_bounds(overhead, served, missed):
    table = [
        {"what": pictures.ALONE, "name": "overhead", "median_ms": overhead},
        {"what": pictures.CROWD, "name": "bare", "median_ms": 9.0},
        {"what": pictures.CROWD, "name": "served", "median_ms": served},
    ]
    assert len(pictures.shortfalls(table)) == missed
