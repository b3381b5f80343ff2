"""Few pictures get a frozen network and support vector machines, and the report says why."""

import json

import numpy as np
import pytest
from PIL import Image

from models.store import Store
from tests.training.pictures.helpers.shapes import collection
from tests.training.pipelines.helpers.toy_network import network_by_chance
from training.cli import main
from training.common.recipe import RecipeError, load
from training.pictures.dataset.folds import UNTESTED, Fold
from training.pipelines import picture_svm
from training.pipelines.picture_few import described_recipe, reason

WHY = "training pictures of a class (median), fewer than 50 (few.pictures)"


class Pack:
    """The labels of a pack, as many of each class as asked for."""

    def __init__(self, *counts):
        self.labels = np.repeat(np.arange(len(counts)), counts)
        self.classes = [str(number) for number in range(len(counts))]


def fold_of(pack, *, tested=True):
    rows = np.arange(len(pack.labels))
    return Fold("all", rows, rows[:1], {"test" if tested else UNTESTED: rows[:1]})


@pytest.mark.parametrize(("counts", "few"), [((19, 19, 90), True), ((19, 20, 90), False)])
def test_the_median_of_the_classes_decides(counts, few):
    pack = Pack(*counts)
    why = reason(load("birds", []), pack, fold_of(pack))
    assert bool(why) is few
    if few:
        told = "19 training pictures of a class (median), fewer than 20 (few.pictures): the network"
        assert why.startswith(told)


@pytest.mark.parametrize("change", ["few.pictures=0", "profile=resets", "profile=quick"])
def test_where_it_is_asked_for_the_network_is_always_fine_tuned(change):
    pack = Pack(2, 2)
    assert reason(load("birds", [change]), pack, fold_of(pack)) == ""


@pytest.mark.parametrize(
    ("change", "needs"),
    [
        ("profile=networks", "several networks"),
        ("save_weights=a.weights.h5", "save_weights"),
        ("search.minutes=1", "a search"),
        ("", "a split without a test part"),
    ],
)
def test_what_a_frozen_network_cannot_do_is_told_and_fine_tuned(change, needs, capsys):
    pack = Pack(2, 2)
    recipe = load("birds", [change] if change else [])
    assert reason(recipe, pack, fold_of(pack, tested=bool(change))) == ""
    assert f"but fine-tuned all the same: {needs} needs it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((10,) * 1000, ""),
        ((10,) * 1001, "1,001 classes need it, for at most 1,000 can have a machine each"),
        # One picture of the fold below is in the validation part too.
        ((19,) * 631 + (10,), ""),
        ((19,) * 631 + (11,), "12,001 training pictures need it"),
    ],
)
def test_what_machines_cannot_hold_is_told_and_fine_tuned(counts, told, capsys):
    pack = Pack(*counts)
    assert bool(reason(load("birds", []), pack, fold_of(pack))) is not bool(told)
    found = capsys.readouterr().out
    assert (f"but fine-tuned all the same: {told}" in found) is bool(told)


def test_without_a_path_it_is_the_same_network_with_the_same_weights():
    described = described_recipe(load("birds", ["network.backbone=xception", "seed=7"]))
    assert (described.network.path, described.network.backbone) == ("keras", "xception")
    assert (described.seed, described.pictures.height, described.steps) == (7, 224, "picture-svm")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["few.pictures=-1"], r"few\.pictures=-1 must be 0 or more"),
        (["few.pictures=0", "few.path=a.onnx"], r"few\.path=a\.onnx needs few\.pictures"),
    ],
)
def test_settings_that_cannot_be_are_told(changes, told):
    with pytest.raises(RecipeError, match=told):
        load("birds", changes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ([], "resnet50 (weights: keras)"),
        (["network.backbone=xception", "network.weights=own/x.h5"], "xception (weights: x.h5)"),
        (["few.path=a/net.onnx"], "net.onnx"),
        (["few.path=a/clip-art/2"], "clip-art/2"),
    ],
)
def test_the_report_names_the_network_and_where_its_weights_are_from(changes, named):
    assert picture_svm.name_of(described_recipe(load("birds", changes)).network) == named


def test_of_pictures_that_are_there_twice_nothing_is_known_that_is_not_seen(tmp_path):
    """Labels by chance: only a machine that was fitted on the other copy is right."""
    rng, pictures = np.random.default_rng(0), tmp_path / "pictures"
    for label in ("robin", "wren"):
        (pictures / label).mkdir(parents=True)
        for number in range(16):
            tiles = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
            for size in (32, 48):
                whole = tiles.resize((size, size), Image.Resampling.NEAREST)
                whole.save(pictures / label / f"{number}-{size}.png")
    network = network_by_chance(tmp_path / "toy.onnx")
    changes = [
        "profile=quick", f"pictures.path={pictures}", f"cache={tmp_path / 'cache'}",
        "pictures.height=16", "pictures.width=16", "few.pictures=90", f"few.path={network}",
    ]  # fmt: skip
    words = [word for one in changes for word in ("--set", one)]
    assert main(["birds", "--out", str(tmp_path / "out"), *words]) == 0
    report = json.loads((tmp_path / "out/reports/birds-1/report.json").read_text())
    best = max(row[-1] for row in report["tables"]["Search"]["rows"])
    assert best < 0.8, "a copy was learnt from"


def test_birds_with_few_pictures_becomes_an_artefact_on_a_network_given_by_path(tmp_path, capsys):
    network = network_by_chance(tmp_path / "toy.onnx")
    pictures = collection(tmp_path / "pictures", {"robin": 14, "wren": 14})
    changes = [
        "profile=quick", f"pictures.path={pictures}", f"cache={tmp_path / 'cache'}",
        "pictures.height=16", "pictures.width=16", "few.pictures=50", f"few.path={network}",
    ]  # fmt: skip
    out = tmp_path / "out"
    words = [word for one in changes for word in ("--set", one)]
    assert main(["birds", "--out", str(out), *words]) == 0
    assert WHY in capsys.readouterr().out
    model = Store(out).load("birds")
    assert list(model.labels) == ["robin", "wren"]
    report = (out / "reports/birds-1/report.html").read_text()
    assert WHY in report
    assert "support vector machine" in report
    assert "numbers from toy.onnx, frozen" in report
    # The recipe in the manifest makes the same again, without the choice.
    assert 'steps = "picture-svm"' in model.manifest.origin["recipe"]


def test_a_network_that_is_not_there_is_told_before_a_picture_is_read(tmp_path, capsys):
    words = ["few.path=none.onnx", f"pictures.path={tmp_path / 'nowhere'}", f"cache={tmp_path}"]
    changes = [each for word in words for each in ("--set", word)]
    assert main(["birds", *changes, "--out", str(tmp_path / "out")]) == 1
    assert "few.path: no file none.onnx" in capsys.readouterr().err
