"""Packs, opened."""

import io
import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from features.config import PictureConfig
from training.common.errors import MaterialError
from training.pictures.dataset import packed
from training.pictures.dataset.folders import listing
from training.pictures.dataset.pack import pack


@pytest.fixture
def made(folder, tmp_path):
    pack(
        listing(folder),
        tmp_path / "made",
        PictureConfig(height=8, width=8),
        progress=lambda done, total: None,
    )
    return tmp_path / "made"


@pytest.mark.parametrize("count", [0, 1, 123_456])
def test_a_file_of_images_is_whole_whatever_their_number(count):
    file = io.BytesIO()
    images = packed.ImageFile(file, (1, 2, 3))
    for i in range(count):
        images.add(np.full((1, 2, 3), i % 251, np.uint8))
    images.finish()
    file.seek(0)
    read = np.load(file)
    assert read.shape == (count, 1, 2, 3)
    assert_array_equal(read[:, 0, 1, 2], np.arange(count) % 251)


def test_a_folder_of_pictures_is_no_pack(made, folder):
    assert packed.is_pack(made)
    assert not packed.is_pack(folder)
    with pytest.raises(MaterialError, match="is not a pack: make one with"):
        packed.open_pack(folder)


@pytest.mark.parametrize(
    "name", ["images.npy", "labels.npy", "thumbs.npy", "classes.json", "index.csv"]
)
def test_a_pack_without_one_of_its_files_is_refused(made, name):
    (made / name).unlink()
    with pytest.raises(MaterialError, match=name):
        packed.open_pack(made)


def test_a_pack_of_another_layout_or_of_parts_that_disagree_is_refused(made):
    np.save(made / "labels.npy", np.zeros(23, np.int32))
    with pytest.raises(MaterialError, match="24 images, 23 labels and 24 index rows differ"):
        packed.open_pack(made)
    about = json.loads((made / "pack.json").read_text())
    (made / "pack.json").write_text(json.dumps(about | {"layout": packed.LAYOUT + 1}))
    with pytest.raises(MaterialError, match="pack it again"):
        packed.open_pack(made)
