"""From what a recipe names to a pack: folders, zips and packs, and what is none of them."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.training.pictures.helpers.shapes import collection
from training.common.errors import MaterialError
from training.common.progress import stage
from training.common.recipe import load
from training.data_cli.main import main as data
from training.pictures.dataset.obtain import check, obtain


def recipe(path, cache, *changes):
    return load(
        "guitar-or-bass", [f"pictures.path={path}", f"cache={cache}", "profile=quick", *changes]
    )


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return collection(tmp_path_factory.mktemp("obtain") / "pictures", {"box": 5, "disc": 4})


def test_a_folder_is_packed_once_and_anew_when_a_picture_changes(pictures, tmp_path):
    first = obtain(recipe(pictures, tmp_path), stage)
    again = obtain(recipe(pictures, tmp_path), stage)
    assert first.images.filename == again.images.filename
    assert first.images.shape == (9, 16, 16, 3)
    (pictures / "box" / "0.png").touch()
    assert obtain(recipe(pictures, tmp_path), stage).images.filename != first.images.filename


def test_a_link_to_nothing_is_left_out(tmp_path):
    folder = collection(tmp_path / "linked", {"box": 3, "disc": 3})
    (folder / "box" / "gone.png").symlink_to(tmp_path / "nothing")
    opened = obtain(recipe(folder, tmp_path / "cache"), stage)
    assert (len(opened.images), opened.about["problems"]) == (6, 1)


def test_pipes_and_names_that_are_not_utf_8_are_left_out(tmp_path):
    folder = collection(tmp_path / "odd", {"box": 3, "disc": 3})
    os.mkfifo(folder / "box" / "pipe.png")
    os.mkfifo(folder / "box" / "pipe")
    named = os.fsencode(folder / "disc") + b"/b\xe4r.png"
    Path(os.fsdecode(named)).write_bytes((folder / "disc" / "0.png").read_bytes())
    opened = obtain(recipe(folder, tmp_path / "cache"), stage)
    assert len(opened.images) == 6
    assert sorted(opened.unread) == ["box/pipe", "box/pipe.png", "disc/b\\udce4r.png"]


def test_a_zip_gives_what_its_folder_gives(pictures, tmp_path, zipped):
    archive = zipped(pictures, tmp_path / "some.zip")
    one, other = (obtain(recipe(path, tmp_path / "cache"), stage) for path in (pictures, archive))
    assert one.classes == other.classes
    assert np.array_equal(np.sort(one.images, axis=0), np.sort(other.images, axis=0))


def test_a_pack_is_taken_as_it_is_and_refused_when_of_another_size(pictures, tmp_path):
    words = [
        "pack",
        str(pictures),
        str(tmp_path / "pack"),
        "--size",
        "16",
        "--fit",
        "pad",
        "--resample",
        "box",
    ]
    assert data(words) == 0
    assert len(obtain(recipe(tmp_path / "pack", tmp_path), stage).images) == 9
    with pytest.raises(MaterialError, match="the pack was made with"):
        obtain(recipe(tmp_path / "pack", tmp_path, "pictures.height=17"), stage)


def test_a_relative_path_is_found_below_data(pictures, tmp_path):
    found = recipe(pictures.name, tmp_path, f"data={pictures.parent}")
    assert len(obtain(found, stage).images) == 9


@pytest.mark.parametrize(
    ("path", "message"), [("", "no pictures: name them"), ("nowhere", "no folder, zip or pack")]
)
def test_what_is_not_there_is_told(path, message, tmp_path):
    with pytest.raises(MaterialError, match=message):
        obtain(recipe(path, tmp_path), stage)


def test_a_class_without_a_training_picture_is_told(pictures, tmp_path):
    pack = obtain(recipe(pictures, tmp_path), stage)
    check(pack, [0, 1])
    with pytest.raises(MaterialError, match="no training picture of disc"):
        check(pack, [0])


def test_a_zip_with_backslashes_and_what_systems_add_is_read(tmp_path, encode, draw):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        for number, label in enumerate(("cat", "dog")):
            archive.writestr(f"{label}\\1.jfif", encode(draw(number), "JPEG"))
            archive.writestr(f"{label}\\Thumbs.db", b"x")
    found = obtain(recipe(tmp_path / "w.zip", tmp_path), stage)
    assert sorted(picture.path for picture in found.pictures) == ["cat/1.jfif", "dog/1.jfif"]
    assert not found.unread
