"""What networks in lower precision are calibrated on, from a folder, a zip and a pack."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from features.config import PictureConfig
from features.picture import decode
from models import calibration
from models.calibration import collected
from models.store import Store
from tests.models.colours import CONFIG, write_colours
from training.pictures.dataset.folders import listing
from training.pictures.dataset.pack import pack

COLOURS = {"red": (230, 20, 30), "green": (20, 200, 40), "blue": (10, 40, 220)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return Store(write_colours(tmp_path_factory.mktemp("seeing")))


@pytest.fixture
def album(tmp_path):
    """Four pictures of each label, and a file that is none."""
    for name, colour in COLOURS.items():
        (tmp_path / "album" / name).mkdir(parents=True)
        for number in range(4):
            Image.new("RGB", (40, 30), (*colour[:2], colour[2] + number)).save(
                tmp_path / "album" / name / f"{number}.png"
            )
    (tmp_path / "album" / "notes.txt").write_text("no picture")
    return tmp_path / "album"


def packed(album, config=CONFIG):
    pack(listing(album), album.parent / "pack", config, progress=lambda done, total: None)
    return album.parent / "pack"


def zipped(album):
    return Path(shutil.make_archive(str(album.parent / "album"), "zip", album.parent, "album"))


@pytest.mark.parametrize("form", [lambda album: album, zipped, packed])
def test_every_form_gives_the_same_pictures_half_for_each(store, album, form):
    model = store.load("colours")
    found = collected(model, form(album))
    tensors = {each.tobytes() for half in (found.calibration, found.evaluation) for each in half}
    assert tensors == {decode(path.read_bytes(), CONFIG).tobytes() for path in album.rglob("*.png")}
    assert len(found.calibration) == len(found.evaluation) == len(found.truth) == 6
    for tensor, label in zip(found.evaluation, found.truth, strict=True):
        assert tensor.reshape(-1, 3).mean(axis=0).argmax() == label


@pytest.mark.parametrize("form", [lambda album: album, zipped, packed])
def test_metadata_takes_all_its_values_and_then_nobody_knows_the_truth(store, album, form):
    found = collected(store.load("places"), form(album))
    told = np.concatenate((found.calibration, found.evaluation))[:, 24 * 32 * 3 :]
    assert told.any(axis=0).all()
    assert found.truth is None


def test_no_more_than_some_hundred_are_looked_at_spread_over_all(store, album, monkeypatch):
    monkeypatch.setattr(calibration, "MOST", 4)
    for source in (album, zipped(album), packed(album)):
        found = collected(store.load("colours"), source)
        assert len(found.calibration) + len(found.evaluation) <= 4
        assert len({each.tobytes() for each in (*found.calibration, *found.evaluation)}) > 2


def test_a_pack_that_was_made_otherwise_is_rejected(store, album):
    source = packed(album, PictureConfig(height=24, width=32, fit="pad"))
    with pytest.raises(InputError, match="it takes fit crop"):
        collected(store.load("colours"), source)
    (source / "labels.npy").unlink()
    with pytest.raises(InputError, match="not a complete pack"):
        collected(store.load("colours"), source)


def test_what_holds_nothing_to_see_is_rejected(store, tmp_path, monkeypatch):
    model = store.load("colours")
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "notes.txt").write_text("no picture")
    (tmp_path / "no.zip").write_bytes(b"PK\3\4")
    refused = {
        "one": "fewer than two files",
        "none": "must be a folder, a zip or a pack",
        "no.zip": "cannot be read as a zip",
    }
    for name, words in refused.items():
        with pytest.raises(InputError, match=words):
            collected(model, tmp_path / name)
    Image.new("RGB", (9, 9)).save(tmp_path / "one" / "a.png")
    Image.new("RGB", (9, 9)).save(tmp_path / "one" / "b.png")
    archive = Path(shutil.make_archive(str(tmp_path / "one"), "zip", tmp_path, "one"))
    assert len(collected(model, archive).evaluation) == 1
    monkeypatch.setattr(calibration, "MOST_BYTES", 20)
    with pytest.raises(InputError, match="fewer than two files"):
        collected(model, archive)


def test_a_model_that_hears_takes_no_pack_of_pictures(store, album):
    heard = Store().load("instruments-net")
    with pytest.raises(InputError, match="it takes sound"):
        collected(replace(heard), packed(album))
