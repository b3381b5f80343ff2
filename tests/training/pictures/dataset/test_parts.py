"""Parts: nothing on two sides, and what each test asks."""

import numpy as np
import pytest

from tests.training.pictures.helpers.shapes import in_styles
from training.common.errors import MaterialError
from training.common.progress import stage
from training.common.recipe import load
from training.pictures.dataset.obtain import obtain
from training.pictures.dataset.parts import parts


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    pictures = in_styles(folder / "pictures", things=10)
    return load("clip-art", [f"pictures.path={pictures}", f"cache={folder}", "profile=quick"])


def things(pack, rows):
    return {pack.pictures[row].path.split("/", 1)[1] for row in rows}


def test_without_a_source_none_of_its_pictures_train_and_new_things_are_new(recipe):
    pack = obtain(recipe, stage)
    *without, everything = parts(recipe, pack)
    assert [part.name for part in without] == ["filled", "outlined", "thick"]
    for part in without:
        new, met = part.tests.values()
        assert {pack.pictures[row].source for row in np.concatenate([part.train, part.valid])} == (
            {"filled", "outlined", "thick"} - {part.name}
        )
        assert {pack.pictures[row].source for row in np.concatenate([new, met])} == {part.name}
        assert not things(pack, new) & things(pack, [*part.train, *part.valid])
        assert things(pack, met) <= things(pack, part.train)
        assert not things(pack, part.train) & things(pack, part.valid)
    assert everything.tests == {}
    assert len(everything.train) + len(everything.valid) == 90
    assert not things(pack, everything.train) & things(pack, everything.valid)


def test_by_chance_all_pictures_are_in_one_part_each(recipe, tmp_path):
    pack = obtain(recipe, stage)
    changes = [f"pictures.path={recipe.pictures.path}", f"cache={recipe.cache}", "profile=quick"]
    (part,) = parts(load("clip-art", [*changes, "split.by_source=false"]), pack)
    rows = np.concatenate([part.train, part.valid, part.tests["test"]])
    assert sorted(rows.tolist()) == list(range(90))


def test_one_source_alone_cannot_be_left_out(recipe, tmp_path):
    pictures = in_styles(tmp_path / "pictures", things=4)
    for style in ("outlined", "thick"):
        (pictures / style).rename(tmp_path / style)
    lone = load("clip-art", [f"pictures.path={pictures}", f"cache={tmp_path}", "profile=quick"])
    with pytest.raises(MaterialError, match="two sources or more; the pictures have 1"):
        parts(lone, obtain(lone, stage))
