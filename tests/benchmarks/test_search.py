"""The search benchmark runs small, tells both sides, and says what is not met."""

import json

import numpy as np
import pytest

from benchmarks import cli, search
from benchmarks.reporting import results

TINY = [
    "--rows",
    "300",
    "--small",
    "200",
    "--folds",
    "2",
    "--seeds",
    "2",
    "--sample",
    "2",
    "--trees",
    "2",
    "--jobs",
    "1",
]


@pytest.mark.slow  # two searches
def test_it_tells_both_times_and_how_far_they_agree(capsys, monkeypatch):
    small = {"model__n_estimators": [1, 2], "model__max_depth": [4, None]}
    for name, values in (small | {"model__min_samples_split": [2]}).items():
        monkeypatch.setitem(search.SMALL, name, values)
    code = cli.main(["search", *TINY, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert code == (1 if report["missed"] else 0)
    assert [row["name"] for row in report["rows"]] == ["timbre", "GridSearchCV"]
    timed, agreed = report["whole"], report["agreement"]
    assert timed["combinations"] == 738  # one number of trees of the four
    per_tree = timed["grid_s_per_tree"]
    # 369 combinations of each criterion, 2 folds, 2 trees
    assert timed["grid_cpu_s"] == pytest.approx(
        369 * 2 * 2 * (per_tree["gini"] + per_tree["entropy"])
    )
    assert len(agreed["rows"]) == 2 * 2 * 1 * 2
    assert np.mean([row["path"] - row["grid"] for row in agreed["rows"]]) == pytest.approx(
        agreed["bias"]
    )
    search._show(report)
    printed = " ".join(capsys.readouterr().out.split())
    assert "738 combinations x 2 folds, 300 windows: path, 1 jobs:" in printed


def test_a_result_has_a_row_for_each_search_with_ours_as_the_base():
    timed = {"combinations": 2_952, "folds": 10, "windows": 20_000, "cpu_s": 4.0}
    ours, theirs = search.result_of({**timed, "grid_cpu_s": 8_000.0})
    assert results.is_base(ours)
    assert (theirs["name"], theirs["cpu_s"], theirs["ratio"]) == ("GridSearchCV", 8_000.0, 2_000.0)
    assert "2,952 combinations x 10 folds, 20,000 windows" in theirs["what"]


def test_budgets_are_held_on_both_sides():
    agreed = {"difference": 0.02, "by_chance": 0.01}
    assert search.shortfalls(agreed, {"search_s": 600.0}) == []
    assert len(search.shortfalls(agreed | {"difference": 0.021}, {"search_s": 600.1})) == 2


def test_windows_come_from_a_table_or_a_seed(tmp_path):
    rows, labels = search.draw(None, 50, seed=0)
    assert rows.shape == (50, 26)
    assert labels.shape == (50, 11)
    np.save(tmp_path / "features.npy", np.float32(rows))
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "groups.npy", np.zeros(50, np.int32))
    (tmp_path / "table.json").write_text(json.dumps({"sources": ["a"], "labels": []}))
    drawn, _ = search.draw(tmp_path, 20, seed=1)
    assert drawn.shape == (20, 26)
    assert set(drawn[:, 0]) <= set(rows[:, 0])
