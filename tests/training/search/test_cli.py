"""`timbre search` on a table on disk."""

import csv
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.search.cli import bar, main

GRID = """
estimator = "sklearn.ensemble.RandomForestClassifier"
components = 4
[grid]
n_estimators = [3, 6]
max_features = ["auto", "sqrt", "log2"]
max_depth = ["none", "1..2"]
"""
ROOT = Path(__file__).parents[3]


@pytest.fixture
def grid(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text(GRID)
    return str(path)


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_path_search_by_source_writes_all_rows_and_the_best(table, grid, tmp_path, capsys):
    out = tmp_path / "out"
    argv = [
        str(table),
        "--grid",
        grid,
        "--by-source",
        "--scoring",
        "f1_micro",
        "--jobs",
        "2",
        "--out",
        str(out),
    ]
    assert main(argv) == 0
    rows, best = rows_of(out / "results.csv"), json.loads((out / "best.json").read_text())
    assert len(rows) == 18
    assert best["score"] == max(float(row["mean_test_score"]) for row in rows)
    assert (best["folds"], best["by_source"], best["rows"], len(best["confirmed"])) == (
        4,
        True,
        140,
        4,
    )
    assert best["params"]["model__max_features"] == "sqrt"
    printed = capsys.readouterr().out
    assert "18 combinations x 4 folds by source" in " ".join(printed.split())
    assert "as a plain scikit-learn forest: 0." in printed
    assert "log2" not in printed  # came to the same as auto
    assert sorted(path.name for path in out.iterdir()) == ["best.json", "results.csv"]


def test_a_grid_search_does_equal_names_once_and_goes_on_from_its_folder(
    table, grid, tmp_path, capsys
):
    out = tmp_path / "out"
    argv = [
        str(table),
        "--grid",
        grid,
        "--method",
        "grid",
        "--folds",
        "2",
        "--rows",
        "100",
        "--out",
        str(out),
    ]
    assert main(argv) == 0
    first = rows_of(out / "results.csv")
    assert len(first) == 12
    tasks = (out / "tasks.jsonl").read_bytes()
    assert main(argv) == 0
    assert (out / "tasks.jsonl").read_bytes() == tasks
    assert rows_of(out / "results.csv") == first
    assert json.loads((out / "best.json").read_text())["confirmed"] is None


def test_what_is_refused_is_said_in_one_line(table, grid, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    assert main([str(table), "--grid", grid, "--dask", "tcp://127.0.0.1:1", *out]) == 1
    assert capsys.readouterr().err == (
        "timbre search: a path search runs on one machine: --dask goes with --method grid\n"
    )
    assert main([str(tmp_path), *out]) == 1
    assert "is not a feature table" in capsys.readouterr().err
    assert main([str(table), "--folds", "500", *out]) == 1
    assert "100 rows cannot be split" in capsys.readouterr().err
    about = json.loads((table / "table.json").read_text())
    (table / "table.json").write_text(json.dumps({**about, "kinds": ["log_mel"]}))
    assert main([str(table), *out]) == 1
    assert "holds log_mel, no features: make it with" in capsys.readouterr().err
    (table / "table.json").write_text(json.dumps(about))
    np.save(table / "groups.npy", np.zeros(160, np.int32))
    assert main([str(table), "--by-source", *out]) == 1
    assert "1 source cannot make 2 folds by source" in capsys.readouterr().err
    np.save(table / "labels.npy", np.zeros((160, 3), bool))
    assert main([str(table), "--folds", "2", *out]) == 1
    assert "every label is in all rows or in none" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [("--folds", "1"), ("--rows", "0"), ("--jobs", "0"), ("--seed", "-1"), ("--rows", "x")],
)
def test_numbers_that_cannot_be_are_not_understood(table, arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main([str(table), *arguments])
    assert ended.value.code == 2
    assert f"argument {arguments[0]}: " in capsys.readouterr().err


def test_a_disk_without_room_leaves_nothing_half_written(table, grid, tmp_path, capsys):
    out = tmp_path / "out"
    argv = [str(table), "--grid", grid, "--folds", "2", "--no-confirm", "--out", str(out)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        assert main(argv) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large; files in --out are complete; make room" in capsys.readouterr().err
    assert list(out.iterdir()) == []
    (tmp_path / "file").touch()
    assert main([*argv[:-1], str(tmp_path / "file")]) == 1
    assert "File exists" in capsys.readouterr().err


def test_help_loads_nothing_heavy():
    script = (
        "import sys\nfrom training.search.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert {"sklearn", "numba", "numpy", "joblib"}.isdisjoint(answer.stdout.split())


def test_a_bar_shows_the_best_so_far_if_there_is_one(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    with bar("grid") as update:
        update(0, 10)
        update(1, 10, float("nan"))
    shown = capsys.readouterr().err
    assert "1/10" in shown
    assert "best" not in shown
    with bar("grid") as update:
        update(2, 10, 0.5)
    shown = capsys.readouterr().err
    assert "2/10" in shown
    assert "best 0.5000" in shown
