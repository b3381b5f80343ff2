"""The recipes birds and cone-snails, on pictures that the tests draw and weights by chance."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from common.errors import Unprocessable
from features.picture import facts, tensor
from models.store import Store
from tests.training.pictures.helpers.shapes import SHAPES, collection, shape
from tests.training.pipelines.helpers.splits import parts_beside_each
from training.cli import main

ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("tiny_backbone")


def settings(pictures, folder, *changes):
    told = ["profile=quick", f"pictures.path={pictures}", f"cache={folder / 'cache'}", *changes]
    return ["--out", str(folder / "out"), *(word for one in told for word in ("--set", one))]


@pytest.fixture(scope="module")
def snails(tmp_path_factory):
    """REGION/SPECIES/N.png: two species of each region that look like the two of the other."""
    root, rng = tmp_path_factory.mktemp("snails") / "pictures", np.random.default_rng(0)
    for region in ("east", "west"):
        for kind in SHAPES[:2]:
            (root / region / f"{kind} of the {region}").mkdir(parents=True)
            for i in range(10):
                shape(kind, rng).save(root / region / f"{kind} of the {region}" / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def species(snails, tiny_backbone, tmp_path_factory):
    folder = tmp_path_factory.mktemp("species")
    assert main(["cone-snails", *settings(snails, folder)]) == 0
    return folder


def test_the_artefact_takes_a_picture_and_its_region(species):
    model = Store(species / "out").load("cone-snails")
    config = model.manifest.input.config()
    assert [(field.name, field.values) for field in config.metadata] == [
        ("region", ("east", "west"))
    ]
    assert model.session.shape == (32 * 32 * 3 + 2,)
    told = [
        np.concatenate([np.zeros(3072, np.uint8), facts(config, {"region": name})])
        for name in ("east", "west")
    ]
    scores = model.predict(np.stack(told))
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert np.abs(scores[0] - scores[1]).max() > 0


def test_the_region_may_be_missing_and_the_report_has_both_scores(species):
    model = Store(species / "out").load("cone-snails")
    config = model.manifest.input.config()
    alone = tensor(np.zeros((32, 32, 3), np.uint8), config)
    assert alone.shape == (3074,)
    assert model.predict(alone[None]).sum() == pytest.approx(1, abs=1e-5)
    tests = model.manifest.metrics["tests"]["all"]
    assert list(tests) == ["with region", "without region"]
    assert model.manifest.metrics["mean"]["top1"] == tests["with region"]["top1"]
    page = (species / "out/reports/cone-snails-1/report.html").read_text(encoding="utf-8")
    assert "without region" in page
    assert "which may be missing" in page


@pytest.mark.slow  # a training of its own
def test_a_required_region_is_asked_for_and_tested_with(snails, tmp_path):
    changes = ["required=true", "head.epochs=1", "fine.epochs=1"]
    assert main(["cone-snails", *settings(snails, tmp_path, *changes)]) == 0
    model = Store(tmp_path / "out").load("cone-snails")
    assert list(model.manifest.metrics["tests"]["all"]) == ["test"]
    with pytest.raises(Unprocessable, match="metadata 'region' is missing"):
        facts(model.manifest.input.config(), {})


@pytest.mark.slow  # three trainings
def test_several_networks_are_compared_on_one_split_and_the_best_is_the_artefact(snails, tmp_path):
    recipe = tmp_path / "several.toml"
    recipe.write_text(
        'base = "cone-snails"\nname = "several"\nrequired = true\n[split]\n'
        "shares = [0.9, 0.1, 0.0]\n"
        '[[networks]]\nname = "wide"\ndense = [24]\n'
        '[[networks]]\nname = "flat"\npooling = "flatten"\n'
        '[[networks]]\nname = "alone"\nalone = true\ndense = []\n'
    )
    changes = ["head.epochs=1", "fine.epochs=1"]
    assert main([str(recipe), *settings(snails, tmp_path, *changes)]) == 0
    model = Store(tmp_path / "out").load("several")
    rows = model.manifest.metrics["networks"]
    stages = {f"{name} {stage}" for name in ("wide", "flat", "alone") for stage in ("head", "fine")}
    assert set(rows) == stages
    best = next(iter(rows))
    assert rows[best]["valid_macro_f1"] == max(
        next(row["valid_macro_f1"] for title, row in rows.items() if title.startswith(name))
        for name in ("wide", "flat", "alone")
    )
    assert len(model.session.shape) == (3 if best.startswith("alone") else 1)
    assert list(model.manifest.metrics["tests"]["all"]) == ["validation, no test part"]
    folder = tmp_path / "out/reports/several-1"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert set(report["candidates"]) == stages
    name = best.split()[0]
    assert list(report["history"]) == list(report["matrices"]) == [f"{name} head", f"{name} fine"]
    assert not report["tested"]
    assert "the best of 3 networks on one split" in report["about"]
    assert "nothing tests it" in report["about"]
    with (folder / "split.csv").open(encoding="utf-8", newline="") as file:
        parts = [row["part"] for row in csv.DictReader(file)]
    assert {part: parts.count(part) for part in set(parts)} == {"train": 36, "valid": 4}
    again = tmp_path / "again.toml"
    again.write_text(model.manifest.origin["recipe"], encoding="utf-8")
    assert main([str(again), "--out", str(tmp_path / "out"), "--set", f"cache={tmp_path}"]) == 0
    second = Store(tmp_path / "out").load("several", "2")
    tensors = np.random.default_rng(0).integers(0, 2, (4, *model.session.shape)).astype(np.uint8)
    np.testing.assert_allclose(model.predict(tensors), second.predict(tensors), atol=1e-5)


def test_the_report_holds_both_stages_and_how_far_weights_moved(species):
    report = json.loads(
        (species / "out/reports/cone-snails-1/report.json").read_text(encoding="utf-8")
    )
    assert list(report["matrices"]) == list(report["history"]) == ["head", "fine"]
    assert set(report["networks"]) == {"head", "fine"}
    best = min(min(one["valid_loss"] for one in looks) for looks in report["history"].values())
    assert next(iter(report["networks"].values()))["minimum_loss"] == best
    moved = report["tables"]["How far weights moved"]["rows"]
    assert {row[1] for row in moved} == {"low", "middle", "high", "classifier"}
    assert sum(row[2] for row in moved if row[1] == "classifier") > 0
    page = (species / "out/reports/cone-snails-1/report.html").read_text(encoding="utf-8")
    assert "Confusion after each stage" in page
    assert (">Heatmaps</h2>" in page) == bool(report["mistakes"])
    assert "squared difference" in page.split("<svg", 1)[1].split("<table", 1)[0]
    assert f"<summary>All {len(moved)} layers</summary>" in page
    assert "One line a stage" in page


def test_nothing_unfinished_is_left_but_the_curves(species):
    assert parts_beside_each(species / "out") == {"cone-snails": {"train", "valid", "test"}}
    (folder,) = (species / "cache/pictures/trainings").iterdir()
    rows = [
        json.loads(line)
        for line in (folder / "curves.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [row["stage"] for row in rows] == ["head", "head", "fine"]
    assert "refresh" not in (folder / "curves.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_scores(snails, tmp_path):
    words = ["cone-snails", *settings(snails, tmp_path)]
    code = "import sys; from training.cli import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    trainings = tmp_path / "cache/pictures/trainings"
    until = time.monotonic() + 150
    while not list(trainings.glob("*-head.pt")):
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "out").exists()
    assert main(words) == 0
    (folder,) = trainings.iterdir()
    rows = [
        json.loads(line)
        for line in (folder / "curves.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [row["stage"] for row in rows] == ["head", "head", "fine"]
    model = Store(tmp_path / "out").load("cone-snails")
    assert model.manifest.metrics["networks"].keys() == {"head", "fine"}


def test_birds_are_told_from_pictures_alone_and_pass_on_what_they_learnt(tmp_path, capsys):
    pictures = collection(tmp_path / "pictures", {"crane": 12, "robin": 12})
    changes, known = ["head.epochs=1", "fine.epochs=1"], tmp_path / "known.weights.h5"
    assert main(["birds", *settings(pictures, tmp_path, *changes, f"save_weights={known}")]) == 0
    model = Store(tmp_path / "out").load("birds")
    assert (model.labels, model.session.shape) == (["crane", "robin"], (32, 32, 3))
    assert "save_weights" not in model.manifest.origin["recipe"]
    changes = ["head.epochs=1", "fine.epochs=1", f"network.weights={known}"]
    assert main(["birds", *settings(pictures, tmp_path, *changes)]) == 0
    assert "weights of a file" in (tmp_path / "out/birds/2/report.md").read_text(encoding="utf-8")
    assert main(["birds", *settings(pictures, tmp_path, *changes, "network.backbone=vgg19")]) == 1
    assert f"{known} does not hold weights of vgg19" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (("metadata=ocean",), "metadata 'ocean' is missing in pictures.layout='region/label'"),
        (("network.backbone=alexnet",), "must be one of resnet50"),
        (("network.weights=none.weights.h5",), "no weights none.weights.h5"),
        (("network.dense=[0]",), "network.dense=[0]"),
        (("missing=0",), "missing=0.0 must lie between 0 and 1"),
        (("missing=1",), "missing=1.0 must lie between 0 and 1"),
        (("head.low=0.1",), "[head] trains the classifier only"),
        (("save_weights=known.h5",), "save_weights='known.h5' must end with .weights.h5"),
        (("fine.resets=top",), "resets=['top'] must be some of low, middle, high, classifier"),
        (("fine.frozen=2",), "frozen=2 must lie between 0 and epochs=1"),
        (("name=Cone Snails",), "lower-case words"),
    ],
)
def test_what_cannot_be_is_told_and_leaves_nothing(changes, told, snails, tmp_path, capsys):
    assert main(["cone-snails", *settings(snails, tmp_path, *changes)]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("counts", "told"), [({"a": 5}, "one class"), ({"a": 5, "b": 1}, "a single picture")]
)
def test_too_little_to_learn_from_is_told(counts, told, tmp_path, capsys):
    pictures = collection(tmp_path / "pictures", counts)
    assert main(["birds", *settings(pictures, tmp_path)]) == 1
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_keras_it_says_what_to_install(tmp_path):
    code = """if True:
        import sys
        class No:
            def find_spec(self, name, path=None, target=None):
                if name.split(".")[0] in {"keras", "torch"}:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        sys.meta_path.insert(0, No())
        from training.cli import main
        sys.exit(main(sys.argv[1:]))"""
    words = [sys.executable, "-c", code, "birds", "--out", str(tmp_path / "out")]
    answer = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert answer.returncode == 1
    assert "pip install 'timbre[train]'" in answer.stderr
    assert not (tmp_path / "out").exists()
