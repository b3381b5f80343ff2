"""Folds: no thing is in two parts, and what each test set has."""

import csv
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.training.pictures.helpers.shapes import in_styles
from training.common.errors import MaterialError
from training.common.progress import stage
from training.common.recipe import RecipeError, load
from training.pictures.dataset.folds import UNTESTED, alike, counts, make_folds, split_csv
from training.pictures.dataset.obtain import obtain


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    pictures = in_styles(folder / "pictures", things=10)
    return load("clip-art", [f"pictures.path={pictures}", f"cache={folder}", "profile=quick"])


def things(pack, rows):
    return {pack.pictures[row].path.split("/", 1)[1] for row in rows}


def test_without_a_source_none_of_its_pictures_train_and_new_things_are_new(recipe):
    pack = obtain(recipe, stage)
    *without, everything = make_folds(recipe, pack)
    assert [fold.name for fold in without] == ["filled", "outlined", "thick"]
    for fold in without:
        new, met = fold.tests.values()
        assert {pack.pictures[row].source for row in np.concatenate([fold.train, fold.valid])} == (
            {"filled", "outlined", "thick"} - {fold.name}
        )
        assert {pack.pictures[row].source for row in np.concatenate([new, met])} == {fold.name}
        assert not things(pack, new) & things(pack, [*fold.train, *fold.valid])
        assert things(pack, met) <= things(pack, fold.train)
        assert not things(pack, fold.train) & things(pack, fold.valid)
    assert everything.tests == {}
    assert len(everything.train) + len(everything.valid) == 90
    assert not things(pack, everything.train) & things(pack, everything.valid)


def test_pictures_of_one_thing_are_alike_and_those_of_one_source_are_not(recipe):
    pack = obtain(recipe, stage)
    groups = alike(recipe, pack)
    assert len(np.unique(groups)) == 30
    for group in np.unique(groups):
        assert len(things(pack, np.flatnonzero(groups == group))) == 1
    without = replace(recipe, pictures=replace(recipe.pictures, thing=""))
    assert len(np.unique(alike(without, pack))) > 3


def test_by_chance_all_pictures_are_in_one_part_each(recipe, tmp_path):
    pack = obtain(recipe, stage)
    changes = [f"pictures.path={recipe.pictures.path}", f"cache={recipe.cache}", "profile=quick"]
    (fold,) = make_folds(load("clip-art", [*changes, "split.by_source=false"]), pack)
    rows = np.concatenate([fold.train, fold.valid, fold.tests["test"]])
    assert sorted(rows.tolist()) == list(range(90))


def test_without_a_test_share_the_validation_part_is_all_there_is(recipe):
    pack = obtain(recipe, stage)
    words = [f"pictures.path={recipe.pictures.path}", f"cache={recipe.cache}", "profile=quick"]
    words += ["split.by_source=false", "split.shares=0.8,0.2,0"]
    (fold,) = make_folds(load("clip-art", words), pack)
    assert not fold.tested
    assert list(fold.tests) == [UNTESTED]
    assert fold.tests[UNTESTED] is fold.valid
    assert {part: sum(found) for part, found in counts(pack, fold).items()} == {
        "train": 72,
        "valid": 18,
    }
    rows = list(csv.DictReader(split_csv(pack, [fold]).splitlines()))
    assert {row["part"] for row in rows} == {"train", "valid"}


def test_new_things_of_a_source_left_out_need_a_test_share(recipe):
    words = [f"pictures.path={recipe.pictures.path}", "split.shares=0.8,0.2,0"]
    with pytest.raises(RecipeError, match=r"tests on new things: .* must be above 0"):
        load("clip-art", words)
    lone = load("clip-art", [*words, "pictures.thing=", f"cache={recipe.cache}", "profile=quick"])
    *without, _ = make_folds(lone, obtain(lone, stage))
    assert all(len(fold.tests["test"]) == 30 for fold in without)


def test_one_source_alone_cannot_be_left_out(recipe, tmp_path):
    pictures = in_styles(tmp_path / "pictures", things=4)
    for style in ("outlined", "thick"):
        (pictures / style).rename(tmp_path / style)
    lone = load("clip-art", [f"pictures.path={pictures}", f"cache={tmp_path}", "profile=quick"])
    with pytest.raises(MaterialError, match="two sources or more; the pictures have 1"):
        make_folds(lone, obtain(lone, stage))


def test_the_distance_decides_what_is_kept_together_and_missed_shares_are_told(
    tmp_path, draw, capsys
):
    rng = np.random.default_rng(0)
    for number, kind in enumerate(["box", "disc"]):
        (tmp_path / "in" / kind).mkdir(parents=True)
        for i in range(12):
            picture = draw(number)
            noise = rng.integers(0, 30, (64, 64, 3))
            noisy = Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))
            noisy.save(tmp_path / "in" / kind / f"{i}.png")
    found = {}
    for distance in (0, 20):
        changes = [f"pictures.path={tmp_path / 'in'}", f"cache={tmp_path}", "profile=quick"]
        few = load("guitar-or-bass", [*changes, f"split.distance={distance}"])
        (fold,) = make_folds(few, obtain(few, stage))
        found[distance] = [len(fold.train), len(fold.valid), len(fold.tests["test"])]
    told = capsys.readouterr().err
    assert found[20] == [24, 0, 0]
    assert all(found[0])
    assert "kept together: sets of 2 to 12 pictures, 2 in all" in told
    assert "instead of" in told
    assert "sets are too large" in told
