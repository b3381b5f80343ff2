"""The benchmark of packing runs, and says which budget is missed."""

import pytest

from benchmarks import packing


def test_a_tiny_run_has_a_row_for_each_kind_and_subject(monkeypatch):
    monkeypatch.setattr(
        packing, "KINDS", [kind for kind in packing.KINDS if max(kind.size) < 1_000]
    )
    table = packing.run(tiny=True)
    wanted = [(kind.name, name) for kind in packing.KINDS for name in ("packed", "Pillow")]
    assert [(row["what"], row["name"]) for row in table] == wanted
    assert all(row["a_second"] == pytest.approx(1e3 / row["median_ms"]) for row in table)


@pytest.mark.parametrize(("a_second", "missed"), [(500.0, 0), (499.9, 1)])
def test_the_budget_is_held_at_its_bound(a_second, missed):
    kinds = {kind.budgeted: kind.name for kind in packing.KINDS}
    table = [
        {"what": kinds[True], "name": "packed", "a_second": a_second},
        {"what": kinds[True], "name": "Pillow", "a_second": 1.0},
        {"what": kinds[False], "name": "packed", "a_second": 1.0},
    ]
    assert len(packing.shortfalls(table)) == missed
