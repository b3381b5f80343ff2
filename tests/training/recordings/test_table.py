"""Tables on disk: what is written is what is opened, whole or not at all."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.recordings.collection import CollectionError
from training.recordings.table import COLUMNS, open_table, write_npy, write_table

ROOT = Path(__file__).parents[3]
ABOUT = {
    "labels": ["a", "b"],
    "sources": ["s", "t"],
    "rule": "-",
    "window_s": 2.0,
    "hop_s": 1.0,
    "rate": 22_050,
}


def columns(**changes):
    found = {
        "labels": np.array([[1, 0], [0, 1], [1, 1]], bool), "groups": [0, 1, 0], "clips": [0, 1, 0],
        "starts": [0.0, 0.5, 0.0], "parts": [0, 2, 0], "copies": [0, 0, 1], **changes,
    }  # fmt: skip
    return {name: np.asarray(values, COLUMNS[name]) for name, values in found.items()}


def write(path, **changes):
    rows = np.arange(78, dtype=np.float32).reshape(3, 26)
    clips = [("x.wav", "", 0, 3, "a;b", "s", "train"), ("y.wav", "", 0, 3, "b", "t", "test")]
    tensors = {"features": ((3, 26), [rows[:2], rows[2:]])}
    return write_table(path, about=ABOUT, columns=columns(**changes), tensors=tensors, clips=clips)


def test_a_table_is_opened_as_it_was_written(tmp_path):
    write(tmp_path / "table")
    table = open_table(tmp_path / "table")
    assert len(table) == 3
    assert table.names == ("a", "b")
    assert table.sources == ("s", "t")
    assert table.kinds == ("features",)
    assert table.config.window == 44_100
    assert table.features.tolist() == np.arange(78).reshape(3, 26).tolist()
    assert isinstance(table.features, np.memmap)
    assert {name: getattr(table, name).dtype for name in COLUMNS} == {
        name: np.dtype(t) for name, t in COLUMNS.items()
    }
    assert table.rows("train").tolist() == [0, 2]
    assert table.rows("train", copies=False).tolist() == [0]
    assert table.rows("test").tolist() == [1]
    assert table.clip(1)["path"] == "y.wav"
    assert sorted(file.name for file in table.path.iterdir()) == sorted(
        [*(f"{name}.npy" for name in COLUMNS), "features.npy", "clips.csv", "table.json"]
    )
    assert json.loads((table.path / "table.json").read_text())["kind"] == "features"


def test_a_tensor_that_is_not_there_is_told(tmp_path):
    with pytest.raises(
        CollectionError, match="holds features, no log_mel: make it with --kind log_mel"
    ):
        write(tmp_path / "table").tensors("log_mel")


def test_a_new_table_takes_the_place_of_the_old(tmp_path):
    write(tmp_path / "table")
    assert write(tmp_path / "table", starts=[7.0, 8.0, 9.0]).starts.tolist() == [7.0, 8.0, 9.0]
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_what_is_no_table_is_neither_opened_nor_replaced(tmp_path):
    (tmp_path / "notes").mkdir()
    with pytest.raises(CollectionError, match="is not a table"):
        open_table(tmp_path / "notes")
    with pytest.raises(CollectionError, match="exists already and is not a table"):
        write(tmp_path / "notes")
    write(tmp_path / "table")
    (tmp_path / "table" / "parts.npy").unlink()
    with pytest.raises(CollectionError, match=r"is not a table: .*parts.npy"):
        open_table(tmp_path / "table")


def test_a_window_of_one_source_on_two_sides_is_never_written(tmp_path):
    with pytest.raises(CollectionError, match="source 's' are on two sides"):
        write(tmp_path / "table", parts=[0, 2, 1])
    assert not list(tmp_path.iterdir())


def test_a_failure_midway_leaves_the_old_table_and_no_draft(tmp_path):
    write(tmp_path / "table")
    blocks = (np.zeros((1, 26)) for _ in range(2))
    with pytest.raises(AssertionError, match="2 of 3 rows"):
        write_table(
            tmp_path / "table",
            about=ABOUT,
            columns=columns(),
            tensors={"features": ((3, 26), blocks)},
        )
    assert open_table(tmp_path / "table").starts.tolist() == [0.0, 0.5, 0.0]
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    code = (
        "import sys, numpy as np; from tests.training.recordings.test_table import ABOUT, columns\n"
        "from pathlib import Path; from training.recordings.table import write_table\n"
        "tensors = {'features': ((3, 26), [np.zeros((3, 26))])}\n"
        "write_table(Path(sys.argv[1]), about=ABOUT, columns=columns(), tensors=tensors)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "table"],
        # No file may grow beyond this: the very error of a full disk, for one process only.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200)),
        capture_output=True, text=True, check=False, cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert "CollectionError: no room left to write" in done.stderr
    assert not list(tmp_path.iterdir())


def test_arrays_are_written_block_by_block(tmp_path):
    write_npy(tmp_path / "x.npy", (5, 2), np.float16, (np.full((n, 2), n) for n in (2, 3)))
    assert np.load(tmp_path / "x.npy")[:, 0].tolist() == [2, 2, 3, 3, 3]
