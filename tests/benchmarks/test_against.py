"""Two checkouts are compared by medians, each better figure as a ratio above one."""

import shlex
from pathlib import Path

import pytest

from benchmarks import against
from benchmarks.reporting import results

ROOT = Path(__file__).parent.parent.parent
FOUND = {
    "other": {"streams": [400.0, 500.0, 450.0], "cpu_ms": [3.0, 4.0, 3.5]},
    "this": {"streams": [900.0, 800.0, 1_000.0], "cpu_ms": [2.0, 1.75, 1.0]},
}


@pytest.mark.parametrize("figure", ["streams", "cpu_ms"])
def test_better_is_more_streams_and_less_of_everything_else(figure):
    row = against.row_of(figure, FOUND)
    assert row["ratio"] == 2.0
    assert row["this_p25"] < row["this"] < row["this_p75"]


def test_a_figure_that_one_of_both_has_not_is_left_out(monkeypatch, tmp_path, capsys):
    def round_of(folder, given):
        return {"cpu_ms": 2.0, "livez_p99_ms": 1.0 if folder == against.ROOT else None}

    monkeypatch.setattr(against, "round_of", round_of)
    assert against.main([str(tmp_path), "--rounds", "2"]) == 0
    shown = capsys.readouterr().out
    assert against.BETTER["cpu_ms"] in shown
    assert against.BETTER["livez_p99_ms"] not in shown


def test_its_command_has_every_setting_and_no_path_of_this_machine(tmp_path):
    given = against._parser().parse_args(
        [str(tmp_path), "--rounds", "2", "--redis", "--no-capacity"]
    )
    report = against.report_of([], given, {"load": 0.0})
    assert str(tmp_path) not in str(report)
    assert report["settings"]["other"] == "unknown"
    again = against._parser().parse_args(shlex.split(report["command"])[3:])
    assert vars(again) | {"other": None} == vars(given) | {"other": None}


@pytest.mark.slow  # an environment of its own
def test_a_checkout_is_compared_with_itself(monkeypatch, tmp_path):
    monkeypatch.setattr(against, "CLIPS", against.clips.Load(requests=2, clients=1))
    options = ["--rounds", "1", "--streams", "1", "--seconds", "2.2", "--no-capacity"]
    model = [
        "--model",
        "instruments-forest",
        "--serve",
        "--set models=instruments,instruments-forest",
    ]
    made = tmp_path / "against.json"
    assert against.main([str(ROOT), *options, *model, "--json", str(made)]) == 0
    report = results.read(made)
    assert report["rows"][0]["what"] == against.BETTER["cpu_ms"]
    assert report["settings"]["other"] in report["note"]
