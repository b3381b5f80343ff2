"""Two checkouts are compared by medians, each better figure as a ratio above one."""

from pathlib import Path

import pytest

from benchmarks import against

ROOT = Path(__file__).parent.parent.parent
FOUND = {
    "other": {"streams": [400.0, 500.0, 450.0], "cpu_ms": [3.0, 4.0, 3.5]},
    "this": {"streams": [900.0, 800.0, 1_000.0], "cpu_ms": [2.0, 1.75, 1.0]},
}


@pytest.mark.parametrize("figure", ["streams", "cpu_ms"])
def test_better_is_more_streams_and_less_of_everything_else(figure):
    row = against.row_of(figure, FOUND)
    assert row["ratio"] == 2.0
    assert row["values"]["this"] == FOUND["this"][figure]


@pytest.mark.slow  # an environment of its own
def test_a_checkout_is_compared_with_itself(capsys, monkeypatch):
    monkeypatch.setattr(against, "CLIPS", against.clips.Load(requests=2, clients=1))
    options = ["--rounds", "1", "--streams", "1", "--seconds", "2.2", "--no-capacity"]
    model = [
        "--model",
        "instruments-forest",
        "--serve",
        "--set models=instruments,instruments-forest",
    ]
    assert against.main([str(ROOT), *options, *model]) == 0
    table = capsys.readouterr().out
    assert "CPU per window" in table
    assert "times better" in table
