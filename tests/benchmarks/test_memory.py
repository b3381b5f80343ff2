"""What live streams add to the memory of a server is measured, and held against the budget."""

import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks import memory
from tests.service.conftest import artefacts  # noqa: F401 - fixture

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/smaps_rollup").exists(), reason="memory is counted in /proc"
)


@pytest.mark.slow  # waits for memory to settle
def test_streams_are_measured_before_open_active_and_ended(artefacts):  # noqa: F811
    table = memory.run(tiny=True, options=["--artefacts", str(artefacts)], models=("toy",))
    assert [row["what"] for row in table] == [
        memory.BEFORE, memory.OPEN, memory.ACTIVE, memory.ENDED,
    ]  # fmt: skip
    assert all(row["server_mb"] > 10 for row in table)
    assert table[0]["kb_per_stream"] == 0
    assert all(row["streams"] == 2 for row in table)


def test_memory_that_a_process_writes_is_its_own():
    before = memory.private(os.getpid())
    written = np.ones(50_000_000, np.uint8)
    assert memory.private(os.getpid()) - before > 0.9 * written.nbytes


def test_only_what_is_over_its_budget_is_named():
    rows = [
        {"model": "toy", "what": what, "kb_per_stream": bound}
        for what, bound in memory.BUDGETS.items()
    ]
    ended = {"model": "toy", "what": memory.ENDED, "kb_per_stream": 1e6}
    assert memory.shortfalls([*rows, ended]) == []
    over = [row | {"kb_per_stream": row["kb_per_stream"] + 0.1} for row in rows]
    assert len(memory.shortfalls(over)) == len(memory.BUDGETS)
