"""The recipes from pictures to artefacts, on pictures that the tests draw."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from models.store import Store
from tests.training.pictures.helpers.shapes import collection, in_styles
from tests.training.pipelines.helpers.splits import parts_beside_each
from training.cli import main
from training.pictures.learn.network import keras_on_torch

ROOT = Path(__file__).parents[3]


def train(recipe, pictures, folder, *changes):
    settings = ["profile=quick", f"pictures.path={pictures}", f"cache={folder / 'cache'}", *changes]
    return main(
        [
            recipe,
            "--out",
            str(folder / "out"),
            *(word for one in settings for word in ("--set", one)),
        ]
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Six times as many guitars as basses, as in the shop, and what else lies in folders."""
    root = collection(tmp_path_factory.mktemp("shop") / "pictures", {"bass": 14, "guitar": 46})
    (root / "guitar" / "notes.txt").write_text("not a picture", encoding="utf-8")
    (root / "bass" / "broken.jpg").write_bytes(b"not a picture either")
    return root


@pytest.fixture(scope="module")
def ten(shop, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ten")
    links = "links.Wikipedia=https://en.wikipedia.org/wiki/{label}"
    assert train("guitar-or-bass", shop, folder, "epochs=2", "looks=[1, 2]", links) == 0
    return folder


@pytest.fixture(scope="module")
def styles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("styles")
    pictures = in_styles(folder / "pictures")
    assert train("clip-art", pictures, folder) == 0
    return folder


@pytest.mark.slow  # trains ten networks
def test_ten_networks_give_their_table_and_the_best_becomes_the_artefact(ten):
    model = Store(ten / "out").load("guitar-or-bass")
    assert parts_beside_each(ten / "out") == {"guitar-or-bass": {"train", "valid", "test"}}
    networks = model.manifest.metrics["networks"]
    assert set(networks) == {f"T{number}" for number in range(1, 11)}
    wanted = {
        "minimum_loss",
        "best_epoch",
        "test_accuracy",
        "macro_f1",
        "majority",
        "seconds_to_best",
        "seconds",
    }
    for line in networks.values():
        assert wanted <= line.keys()
        assert 1 <= line["best_epoch"] <= 2
        assert line["seconds_to_best"] <= line["seconds"]
    best = max(networks.values(), key=lambda line: (line["valid_macro_f1"], -line["minimum_loss"]))
    assert next(iter(networks.values())) == best
    assert model.manifest.metrics["mean"]["top1"] == pytest.approx(best["test_accuracy"])
    assert model.manifest.metrics["mean"]["majority"] > 0.6


def test_each_label_says_where_it_can_be_looked_up(ten):
    labels = Store(ten / "out").load("guitar-or-bass").manifest.labels
    assert [label.links["Wikipedia"] for label in labels] == [
        "https://en.wikipedia.org/wiki/bass",
        "https://en.wikipedia.org/wiki/guitar",
    ]


def test_pictures_of_a_collection_become_a_model_by_the_recipe_for_any_pictures(tmp_path):
    for day in range(6):
        collection(tmp_path / "collection" / f"day-{day}", {"bass": 3, "guitar": 3}, seed=day)
    assert train("pictures", tmp_path / "collection", tmp_path, "name=mine") == 0
    model = Store(tmp_path / "out").load("mine")
    assert model.labels == ["bass", "guitar"]
    assert model.manifest.provenance == [
        {"source": "collection", "licence": "not stated", "use": "training, evaluation"}
    ]


def test_every_network_keeps_its_curves_its_looks_and_its_file(ten):
    folder = ten / "out" / "reports" / "guitar-or-bass-1"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert list(report["candidates"]) == list(report["networks"])
    for epochs in report["candidates"].values():
        assert [one["look_top1"] for one in epochs] == [
            pytest.approx(one["valid_accuracy"]) for one in epochs
        ]
    assert (
        sum(report["counts"]["train"] + report["counts"]["valid"] + report["counts"]["test"]) == 60
    )
    assert all(one["test_loss"] > 0 for one in report["networks"].values())
    page = (folder / "report.html").read_text(encoding="utf-8")
    for number, (name, row) in enumerate(report["networks"].items(), 1):
        file = folder / f"network-{number}-{name}.keras"
        assert keras_on_torch().models.load_model(file).count_params() == row["weights"]
        assert f'href="{file.name}"' in page


def test_a_look_after_the_last_epoch_is_refused(shop, tmp_path, capsys):
    assert train("guitar-or-bass", shop, tmp_path, "epochs=2", "looks=[3]") == 1
    assert "looks=[3] must lie within the 2 epochs" in capsys.readouterr().err


def test_the_artefact_takes_pictures_and_gives_probabilities(ten):
    model = Store(ten / "out").load("guitar-or-bass")
    assert (model.kind, model.labels, model.session.shape) == (
        "picture",
        ["bass", "guitar"],
        (16, 16, 3),
    )
    scores = model.predict(np.zeros((3, 16, 16, 3), np.uint8))
    assert scores.sum(axis=1) == pytest.approx(1)


def test_what_cannot_be_read_is_left_out_and_told(shop, tmp_path, capsys):
    assert train("guitar-or-bass", shop, tmp_path, "only=T1", "epochs=1") == 0
    told = capsys.readouterr().err
    assert "1 files, not a picture by its name" in told
    assert "2 files left out" in told
    assert re.search(r"class +train +valid +test\nbass +\d+ +\d+ +\d+ ", told)


def test_a_style_never_seen_judges_and_no_thing_is_on_two_sides(styles):
    model = Store(styles / "out").load("clip-art")
    tests = model.manifest.metrics["tests"]
    assert set(tests) == {"filled", "outlined", "thick"}
    for questions in tests.values():
        assert list(questions) == ["new things", "things met in another source"]
    assert model.manifest.metrics["mean"]["top1"] == pytest.approx(
        np.mean([q["new things"]["top1"] for q in tests.values()])
    )
    assert {source["licence"] for source in model.manifest.provenance} >= {"CC BY 4.0"}


def test_the_manifests_recipe_makes_the_same_artefact_again(shop, tmp_path):
    assert train("guitar-or-bass", shop, tmp_path, "only=T6", "epochs=2") == 0
    first = Store(tmp_path / "out").load("guitar-or-bass", "1")
    recipe = tmp_path / "again.toml"
    recipe.write_text(first.manifest.origin["recipe"], encoding="utf-8")
    assert (
        main([str(recipe), "--out", str(tmp_path / "out"), "--set", f"cache={tmp_path / 'other'}"])
        == 0
    )
    second = Store(tmp_path / "out").load("guitar-or-bass", "2")
    batch = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3)).astype(np.uint8)
    assert np.array_equal(first.predict(batch), second.predict(batch))


def test_the_report_counts_each_picture_once_and_shows_each_mistake(styles):
    folder = styles / "out" / "reports" / "clip-art-1"
    page = (folder / "report.html").read_text(encoding="utf-8")
    facts = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert np.array(facts["confusion"]).sum() == sum(
        q["new things"]["pictures"] for q in facts["tests"].values()
    )
    looked = min(len(facts["mistakes"]), 6)
    assert page.count('<div class="clip">') == len(facts["mistakes"]) + looked
    assert (">Heatmaps</h2>" in page) == bool(looked)
    text = (styles / "out" / "clip-art" / "1" / "report.md").read_text(encoding="utf-8")
    assert "filled, never seen: new things" in text
    in_classes = re.findall(r"^\| (?:box|disc|wedge) \| (\d+) \|", text, flags=re.MULTILINE)
    assert sum(map(int, in_classes)) == np.array(facts["confusion"]).sum()


def test_ten_classes_in_a_zip_are_unfolded_and_learnt(tmp_path, zipped):
    pictures = collection(
        tmp_path / "cifar" / "train", {f"class-{number}": 24 for number in range(3)}
    )
    archive = zipped(pictures.parent, tmp_path / "train.zip")
    assert train("cifar-10", archive, tmp_path, "epochs=1", "split.shares=[0.6, 0.2, 0.2]") == 0
    assert Store(tmp_path / "out").load("cifar-10").labels == ["class-0", "class-1", "class-2"]


def lone(root):
    Image.new("RGB", (20, 20)).save((root / "wedge").mkdir() or root / "wedge" / "1.png")


def one_class(root):
    for path in (root / "disc").iterdir():
        path.unlink()


def twins(root):
    (root / "Box").mkdir()
    Image.new("RGB", (20, 20)).save(root / "Box" / "1.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lone, "a single picture, too few for training and test: wedge"),
        (one_class, "has one class, box"),
        (twins, "labels that differ only in case: Box and box"),
    ],
)
def test_a_folder_that_cannot_be_learnt_is_refused_with_the_reason(
    spoil, message, tmp_path, capsys
):
    root = collection(tmp_path / "pictures", {"box": 12, "disc": 12})
    spoil(root)
    assert train("guitar-or-bass", root, tmp_path, "only=T1", "epochs=1") == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_empty_class_is_told_and_left_out(tmp_path, capsys):
    root = collection(tmp_path / "pictures", {"box": 14, "disc": 14})
    (root / "wedge").mkdir()
    assert train("guitar-or-bass", root, tmp_path, "only=T1", "epochs=1") == 0
    assert "left out, no picture in: wedge" in capsys.readouterr().err


def test_too_few_pictures_to_choose_and_judge_by_are_refused(tmp_path, capsys):
    root = collection(tmp_path / "pictures", {"box": 2, "disc": 2})
    assert (
        train(
            "guitar-or-bass",
            root,
            tmp_path,
            "only=T1",
            "epochs=1",
            "split.shares=[0.98, 0.01, 0.01]",
        )
        == 1
    )
    assert "cannot be split; add pictures" in capsys.readouterr().err


def test_without_keras_the_first_line_says_what_to_install(tmp_path, shop):
    code = (
        "import sys; sys.modules['keras'] = None\n"
        "from training.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    words = [
        "guitar-or-bass",
        "--set",
        f"pictures.path={shop}",
        "--set",
        f"cache={tmp_path}",
        "--out",
        str(tmp_path),
    ]
    answer = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert answer.returncode == 1
    assert "pip install 'timbre[train]'" in answer.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.slow  # learn/test_fit.py has the same without a process
def test_killed_while_it_trains_it_goes_on_to_the_same_scores(tmp_path, shop):
    changes = ("only=T6", "epochs=12", "pictures.height=64", "pictures.width=64")
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    settings = [f"pictures.path={shop}", f"cache={broken / 'cache'}", "profile=quick", *changes]
    words = [
        "guitar-or-bass",
        "--out",
        str(broken / "out"),
        *(word for one in settings for word in ("--set", one)),
    ]
    code = "import sys; from training.cli import main; sys.exit(main(sys.argv[1:]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    trainings = broken / "cache" / "pictures" / "trainings"
    while not [path for path in trainings.glob("*.npz") if "draft" not in path.name]:
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (broken / "out").exists()
    assert train("guitar-or-bass", shop, broken, *changes) == 0
    assert train("guitar-or-bass", shop, whole, *changes) == 0
    batch = np.random.default_rng(0).integers(0, 256, (8, 64, 64, 3)).astype(np.uint8)
    scores = [
        Store(folder / "out").load("guitar-or-bass").predict(batch) for folder in (whole, broken)
    ]
    assert np.array_equal(*scores)
    assert not list(trainings.glob("*.npz"))
