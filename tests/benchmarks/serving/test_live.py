"""Live streams and clips are measured by what was answered."""

import pytest

from benchmarks.serving import live


@pytest.mark.slow  # five servers
def test_a_tiny_run_has_a_row_for_each_load():
    table = live.run(tiny=True)
    wanted = [case.what for case in live.cases(*live.TINY["streams"])]
    assert [row["what"] for row in table[:-1]] == wanted
    assert "4 clips of 2 s from 2 clients" in table[-1]["what"]
    assert live.shortfalls(table) == []
    assert all(row["cpu_ms"] > 0 and row["p99_ms"] >= row["p50_ms"] for row in table)


@pytest.mark.parametrize(("answered", "missed"), [(10, 0), (9, 1)])
def test_what_is_not_answered_is_named(answered, missed):
    found = live.shortfalls([{"what": "w", "expected": 10, "answered": answered}])
    assert len(found) == missed
