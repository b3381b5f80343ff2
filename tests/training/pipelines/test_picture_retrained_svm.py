"""The recipe that retrains a network and trains machines on it, on pictures that the tests draw."""

import json

import numpy as np
import pytest

from models.store import Store
from tests.training.pictures.helpers.shapes import collection
from tests.training.pipelines.helpers.splits import parts_beside_each
from training.cli import main

# Trains a network and machines on it, as test_original_works does.
pytestmark = [pytest.mark.usefixtures("tiny_backbone"), pytest.mark.slow]
COUNTS = {"crane": 14, "robin": 14, "wren": 14}


def train(folder, *changes):
    told = ["profile=quick", f"pictures.path={folder / 'pictures'}", f"cache={folder / 'cache'}"]
    words = [word for one in (*told, *changes) for word in ("--set", one)]
    return main(["clip-art-retrained-svm", "--out", str(folder / "out"), *words])


@pytest.fixture(scope="module")
def retrained(tiny_backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("retrained")
    collection(folder / "pictures", COUNTS)
    assert train(folder) == 0
    return folder


@pytest.mark.slow  # a training; test_original_works.py has it too
def test_the_network_and_the_machines_on_it_are_artefacts(retrained):
    store = Store(retrained / "out")
    network, machines = (store.load(f"clip-art-retrained{end}") for end in ("", "-svm"))
    assert network.labels == machines.labels == list(COUNTS)
    parts = parts_beside_each(retrained / "out")
    assert set(parts) == {"clip-art-retrained", "clip-art-retrained-svm"}
    assert all(named > {"train"} for named in parts.values())
    assert network.session.shape == machines.session.shape == (32, 32, 3)
    about = (retrained / "out/clip-art-retrained-svm/1/report.md").read_text(encoding="utf-8")
    assert "descriptors of 8 numbers from clip-art-retrained/1" in about


def test_softmax_and_machines_are_compared_on_the_same_test_pictures(retrained):
    reports = {
        name: json.loads((retrained / f"out/reports/{name}-1/report.json").read_text("utf-8"))
        for name in ("clip-art-retrained", "clip-art-retrained-svm")
    }
    table = reports["clip-art-retrained-svm"]["tables"]["Compared"]
    assert table["head"] == ["classifier", "top-1", "macro-F1", "majority"]
    rows = {name: figures for name, *figures in table["rows"]}
    assert list(rows) == [
        "mobilenet-v3-small as it came, SVM",
        "retrained, softmax",
        "this artefact",
    ]
    for row, report in (("retrained, softmax", ""), ("this artefact", "-svm")):
        mean = reports[f"clip-art-retrained{report}"]["mean"]
        expected = [mean[key] for key in ("top1", "macro_f1", "majority")]
        np.testing.assert_allclose(rows[row], expected)
    splits = [
        (retrained / f"out/reports/{name}-1/split.csv").read_text(encoding="utf-8")
        for name in reports
    ]
    assert splits[0] == splits[1]
    page = (retrained / "out/reports/clip-art-retrained-svm-1/report.html").read_text("utf-8")
    assert "retrained, softmax" in page


def test_the_recipe_of_the_machines_makes_them_again_from_the_network(retrained, tmp_path):
    first = Store(retrained / "out").load("clip-art-retrained-svm")
    (tmp_path / "again.toml").write_text(first.manifest.origin["recipe"], encoding="utf-8")
    words = ["--out", str(tmp_path / "out"), "--set", f"cache={retrained / 'cache'}"]
    assert main([str(tmp_path / "again.toml"), *words]) == 0
    again = Store(tmp_path / "out").load("clip-art-retrained-svm")
    assert again.manifest.files["model.onnx"] == first.manifest.files["model.onnx"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (("svm.most=20",), "svm.most is 20"),
        (("svm.kernels=cubic",), "svm.kernels=['cubic']"),
        (("pictures.layout=region/label", "metadata=region"), "metadata is for networks"),
        (("split.shares=[0.9,0.1,0]",), "the last share must be above 0"),
        (('networks=[{name="a"}, {name="b"}]',), "machines are trained on one network"),
    ],
)
def test_what_the_machines_cannot_do_is_told_before_the_network_is_trained(
    changes, told, tmp_path, capsys
):
    collection(tmp_path / "pictures", COUNTS)
    assert train(tmp_path, *changes) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "cache/pictures/trainings").exists()


def test_a_layer_that_the_network_lacks_is_told_with_those_it_has(tmp_path, capsys):
    collection(tmp_path / "pictures", {"crane": 14, "robin": 14})
    assert train(tmp_path, "layer=top", "fine.epochs=1") == 1
    assert "no layer 'top'; layers: " in capsys.readouterr().err
