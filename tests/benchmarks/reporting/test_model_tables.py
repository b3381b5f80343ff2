"""The tables of models are what the manifests of the shipped models say."""

import json
import shutil

import pytest

from benchmarks.reporting import model_tables
from models.store import DEFAULT_PATH


@pytest.fixture
def folder(tmp_path):
    """The shipped models."""
    for name in model_tables.SHIPPED:
        shutil.copytree(DEFAULT_PATH / name, tmp_path / name)
    return tmp_path


def changed(folder, name, change):
    (path,) = (folder / name).glob("*/manifest.json")
    found = json.loads(path.read_text(encoding="utf-8"))
    change(found)
    path.write_text(json.dumps(found), encoding="utf-8")


def test_a_source_left_out_has_the_figures_of_the_manifest(folder):
    changed(
        folder,
        "instruments-net",
        lambda found: found["metrics"]["left_out"]["vsco"].update(top1=0.123),
    )
    changed(
        folder,
        "instruments-net",
        lambda found: found["metrics"]["ensemble"].update(some_wrong_label=0.42),
    )
    report = model_tables.left_out(folder)
    rows = {(row["what"], row["name"]): row for row in report["rows"]}
    assert rows["instruments-net", "vsco"]["top1"] == 0.12
    assert list(rows["instruments-net", "mean"]) == ["what", "name", *model_tables.LEFT_OUT]
    assert ("instruments-forest", "mean") in rows
    assert "42% a label of something else" in report["note"]


def test_the_mean_of_styles_is_that_of_the_styles(folder):
    def change(found):
        for part in found["metrics"]["tests"].values():
            part["new things"]["top1"] = 0.5

    changed(folder, "clip-art", change)
    rows = {(row["what"], row["name"]): row for row in model_tables.styles(folder)["rows"]}
    assert rows["mean", "new"]["top1"] == 0.5
    assert rows["blob", "trained on"]["pictures"] == 1185


def test_sizes_and_versions_are_those_of_the_files(folder):
    (path,) = (folder / "clip-art").glob("*/model.onnx")
    path.write_bytes(b"x" * 2_000_000)
    report = model_tables.sizes(folder)
    assert report["rows"][-1] == {"what": "clip-art", "version": path.parent.name, "model_mb": 2.0}
    assert f"clip-art {path.parent.name} of 20" in report["models"]
