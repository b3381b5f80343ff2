"""A server with low_memory is measured beside one without, by turns, and held to its budget."""

from pathlib import Path

import pytest

from benchmarks import cli
from benchmarks.serving import low_memory
from tests.service.conftest import artefacts  # noqa: F401 - fixture


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is counted in /proc")
def test_both_servers_are_measured(artefacts):  # noqa: F811
    given = ["--artefacts", str(artefacts)]
    table = low_memory.run(tiny=True, options=given, models=("toy",))
    assert {row["name"] for row in table} == {low_memory.USUAL, low_memory.LOW}
    assert all(row["model"] == "toy" and row["median_ms"] > 0 for row in table)
    assert all(row["idle_mib"] > 10 and row["after_mib"] > 10 for row in table)


@pytest.mark.parametrize(("over", "missed"), [(0.0, 0), (0.1, 1)])
@pytest.mark.parametrize("model", low_memory.BUDGETS)
def test_only_a_usual_server_over_its_budget_is_named(model, over, missed):
    usual = {
        "model": model, "name": low_memory.USUAL,
        "after_mib": low_memory.BUDGETS[model] + over,
    }  # fmt: skip
    low = usual | {"name": low_memory.LOW, "after_mib": 1e6}
    assert len(low_memory.shortfalls([usual, low])) == missed


def test_its_settings_are_part_of_the_result():
    assert cli.settings_of(low_memory, tiny=False) == {"tiny": False, **low_memory.FULL}
