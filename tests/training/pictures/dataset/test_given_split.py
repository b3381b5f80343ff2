"""Splits of one's own on pictures: folders, lists, a CSV file; what trained is written."""

import csv

import numpy as np
import pytest

from tests.training.pictures.helpers.shapes import collection
from training.cli import main as train
from training.common.errors import MaterialError
from training.common.progress import stage
from training.common.recipe import load
from training.data_cli.main import main as data
from training.pictures.dataset.folds import make_folds, split_csv
from training.pictures.dataset.obtain import obtain


def parted(root, **counts):
    """PART/LABEL/N.png, as many of each label in each part."""
    for seed, (part, count) in enumerate(counts.items()):
        collection(root / part, {"box": count, "disc": count}, seed=seed)
    return root


def folded(path, tmp_path, *changes):
    words = [f"pictures.path={path}", f"cache={tmp_path / 'cache'}", "profile=quick", *changes]
    recipe = load("guitar-or-bass", words)
    pack = obtain(recipe, stage)
    (fold,) = make_folds(recipe, pack)
    rows = {"train": fold.train, "valid": fold.valid, "test": fold.tests["test"]}
    names = {
        part: {pack.pictures[row].path for row in chosen.tolist()} for part, chosen in rows.items()
    }
    return pack, names, fold


@pytest.mark.parametrize("given", [{"train": 8}, {"train": 8, "val": 3}, {"train": 8, "test": 3}])
def test_without_a_test_share_none_is_cut_and_one_that_is_given_stays(tmp_path, given):
    path = parted(tmp_path / "p", **given)
    words = [f"pictures.path={path}", f"cache={tmp_path / 'cache'}", "profile=quick"]
    recipe = load("guitar-or-bass", [*words, "split.shares=0.75,0.25,0"])
    pack = obtain(recipe, stage)
    (fold,) = make_folds(recipe, pack)
    assert fold.tested is ("test" in given)
    whole = np.concatenate(list(fold.parts.values()))
    assert sorted(whole.tolist()) == list(range(len(pack.pictures)))
    if "test" in given:
        assert len(fold.tests["test"]) == 6
    assert len(fold.valid) == (6 if "val" in given else 4)


def tops(names):
    return {part: sorted({path.split("/")[0] for path in paths}) for part, paths in names.items()}


@pytest.mark.parametrize("kind", ["folder", "zip", "pack"])
def test_folders_of_parts_are_the_split(tmp_path, kind, zipped, capsys):
    path = parted(tmp_path / "p", train=6, val=3, test=4)
    if kind == "zip":
        path = zipped(path, tmp_path / "p.zip")
    if kind == "pack":
        words = [str(path), str(tmp_path / "k"), "--size", "16", "--fit", "pad", "--resample"]
        assert data(["pack", *words, "box"]) == 0
        path = tmp_path / "k"
    pack, names, fold = folded(path, tmp_path)
    assert pack.classes == ["box", "disc"]
    assert tops(names) == {"train": ["train"], "valid": ["val"], "test": ["test"]}
    assert [len(paths) for paths in names.values()] == [12, 6, 8]
    assert "split as its folders have it" in capsys.readouterr().err
    rows = list(csv.DictReader(split_csv(pack, [fold]).splitlines()))
    assert {row["path"].split("/")[0]: row["part"] for row in rows} == {
        "train": "train",
        "val": "valid",
        "test": "test",
    }


def test_a_part_that_is_missing_is_cut_from_train(tmp_path, capsys):
    _, names, _ = folded(parted(tmp_path / "p", train=10, test=3), tmp_path)
    assert tops(names) == {"train": ["train"], "valid": ["train"], "test": ["test"]}
    assert "valid cut from train" in capsys.readouterr().err


def test_a_given_split_can_be_set_aside(tmp_path):
    path = parted(tmp_path / "p", train=6, val=3, test=4)
    pack, names, _ = folded(path, tmp_path, "split.given=none")
    assert pack.classes == ["box", "disc"]
    assert tops(names)["train"] == ["test", "train", "val"]


def test_lists_beside_the_labels_are_the_split_and_others_are_left_out(tmp_path, capsys):
    path = collection(tmp_path / "p", {"box": 5, "disc": 5})
    (path / "box" / "9.png").write_bytes(b"no picture")
    (path / "train.txt").write_text("box/0.png\nbox/1.png\ndisc/0.png\ndisc/1.png\nbox/9.png\n")
    (path / "val.txt").write_text("box/2.png\r\ndisc/2.png\r\n")
    (path / "test.txt").write_text("box\\3.png\ndisc\\3.png\n")
    _, names, _ = folded(path, tmp_path)
    assert names["valid"] == {"box/2.png", "disc/2.png"}
    assert names["test"] == {"box/3.png", "disc/3.png"}
    assert "left out: 2 pictures that are in no part" in capsys.readouterr().err
    (path / "val.txt").write_text("box/2.png\ncow/2.png\n")
    with pytest.raises(MaterialError, match=r"no file 'cow/2\.png' here"):
        folded(path, tmp_path)


def test_the_split_that_data_split_writes_is_trained_on(tmp_path):
    path = collection(tmp_path / "p", {"box": 12, "disc": 12})
    assert data(["split", str(path), str(tmp_path / "s"), "--ratios", "50/25/25"]) == 0
    with (tmp_path / "s" / "split.csv").open() as file:
        written = {row["path"]: row["part"] for row in csv.DictReader(file)}
    _, names, _ = folded(path, tmp_path, f"split.given={tmp_path / 's' / 'split.csv'}")
    assert {path: part for part, paths in names.items() for path in paths} == written


def test_pictures_that_are_alike_in_two_parts_are_told(tmp_path, capsys):
    path = parted(tmp_path / "p", train=6, val=3, test=4)
    (path / "test" / "box" / "same.png").write_bytes((path / "train/box/0.png").read_bytes())
    folded(path, tmp_path)
    assert "1 pictures of valid and test are near-duplicates of training" in capsys.readouterr().err


def test_leaving_sources_out_and_parts_exclude_each_other(tmp_path):
    path = parted(tmp_path / "p", train=6, test=4)
    with pytest.raises(MaterialError, match=r"set split\.given=none, or"):
        folded(path, tmp_path, "split.by_source=true", "pictures.source=(box|disc)")


def test_a_training_writes_which_pictures_it_had(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = parted(tmp_path / "p", train=8, val=4, test=4)
    words = [f"pictures.path={path}", "cache=cache", "profile=quick", "only=T4", "epochs=1"]
    words += ["name=mine"]
    assert train(["guitar-or-bass", *(w for word in words for w in ("--set", word))]) == 0
    with (tmp_path / "artefacts/reports/mine-1/split.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert np.unique([row["part"] for row in rows], return_counts=True)[1].tolist() == [8, 16, 8]
    assert {row["label"] for row in rows} == {"box", "disc"}
    page = (tmp_path / "artefacts/reports/mine-1/report.html").read_text()
    assert "the part of each picture" in page
