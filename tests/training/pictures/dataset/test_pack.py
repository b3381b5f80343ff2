"""Folders of pictures as arrays."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from features.config import PictureConfig
from features.picture import decode
from training.common.errors import MaterialError
from training.pictures.dataset import image_hash, pack, packed
from training.pictures.dataset.folders import Layout, Listing, Picture, listing

SMALL = PictureConfig(height=24, width=32)


def quiet(done, total):
    pass


def test_rows_are_what_serving_decodes_shuffled_with_their_labels(folder, tmp_path):
    counts = pack.pack(listing(folder), tmp_path / "out", SMALL, seed=3, progress=quiet)
    assert counts == {"rows": 24, "classes": 3, "problems": 0}
    opened = packed.open_pack(tmp_path / "out")
    assert opened.images.shape == (24, 24, 32, 3)
    assert isinstance(opened.images, np.memmap)
    assert opened.classes == ["boat", "cup", "tree"]
    for image, label, picture in zip(opened.images, opened.labels, opened.pictures, strict=True):
        assert_array_equal(image, decode((folder / picture.path).read_bytes(), SMALL))
        assert opened.classes[label] == picture.label == picture.path.split("/")[0]
    assert opened.pictures != sorted(opened.pictures)


def test_one_seed_gives_one_order_and_another_seed_another(folder, tmp_path):
    def order(name, seed, jobs):
        pack.pack(listing(folder), tmp_path / name, SMALL, seed=seed, jobs=jobs, progress=quiet)
        return (tmp_path / name / "index.csv").read_text()

    first = order("a", 1, 1)
    assert order("b", 1, 4) == first
    assert order("c", 2, 1) != first


def test_what_was_known_when_packing_is_known_from_the_pack(folder, tmp_path):
    square = PictureConfig(height=64, width=64, fit="squash", resample="box")
    pack.pack(listing(folder), tmp_path / "out", square, progress=quiet)
    opened = packed.open_pack(tmp_path / "out")
    table = image_hash.hash_files(
        folder, [picture.path for picture in opened.pictures], progress=quiet
    )
    for name in ("sha256", "dhash", "thumbs", "rows"):
        assert_array_equal(getattr(opened.table, name), getattr(table, name))
    np.testing.assert_allclose(opened.table.spread, table.spread, atol=0.01)


def test_what_cannot_be_packed_is_listed_and_a_class_that_loses_all_is_no_class(folder, tmp_path):
    (folder / "cup" / "notes.txt").write_text("not a picture")
    (folder / "cup" / "text.jpg").write_text("not a picture either")
    for path in (folder / "boat").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    counts = pack.pack(listing(folder), tmp_path / "out", SMALL, progress=quiet)
    assert counts == {"rows": 12, "classes": 2, "problems": 14}
    opened = packed.open_pack(tmp_path / "out")
    assert opened.classes == ["cup", "tree"]
    assert opened.labels.max() == 1
    with (tmp_path / "out" / "problems.csv").open(newline="") as file:
        problems = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert problems["cup/notes.txt"] == "not a picture by its name or first bytes"
    assert "boat/boat-0.png" in problems


def test_a_folder_of_no_readable_picture_leaves_nothing(tmp_path):
    root = tmp_path / "pictures"
    (root / "a").mkdir(parents=True)
    (root / "a" / "1.png").write_bytes(b"no")
    with pytest.raises(MaterialError, match="none of 1 files can be read"):
        pack.pack(listing(root), tmp_path / "out", SMALL, progress=quiet)
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def test_a_pack_larger_than_the_disk_is_refused_before_it_begins(tmp_path):
    found = Listing(tmp_path, [Picture(f"{i}.png", "a") for i in range(50_000)])
    with pytest.raises(MaterialError, match=r"the pack needs 2,520 GB, and .* free: make room"):
        pack.pack(found, tmp_path / "out", PictureConfig(height=4096, width=4096), progress=quiet)
    assert list(tmp_path.iterdir()) == []


def test_metadata_and_sources_travel_along(folder, tmp_path):
    layout = Layout.parse("region/label", r"-(\d+)")
    (tmp_path / "all").mkdir()
    folder.rename(tmp_path / "all" / "north")
    found = listing(tmp_path / "all", layout)
    pack.pack(found, tmp_path / "out", SMALL, metadata=layout.metadata, progress=quiet)
    opened = packed.open_pack(tmp_path / "out")
    assert sorted(opened.pictures) == found.pictures
    assert opened.pictures[0].metadata == ("north",)


@pytest.mark.slow  # packs many pictures
def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path, draw):
    (tmp_path / "a").mkdir()
    draw(1).save(tmp_path / "a" / "1.png")
    # Small beside what is kept of each: threads hold up to 80 pictures ahead, or none.
    config = PictureConfig(height=16, width=16)

    def peak(count):
        """Bytes at most while packing so many."""
        found = Listing(tmp_path, [Picture("a/1.png", "a")] * count)
        tracemalloc.start()
        pack.pack(found, tmp_path / f"out{count}", config, progress=quiet)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    few, many = peak(300), peak(1_500)
    # A few numbers of each: 100,000 pictures take some megabytes.
    assert many - few < 1_200 * 200


@pytest.mark.slow  # kills many processes
def test_killed_while_packing_nothing_is_half_written(tmp_path, draw):
    root = tmp_path / "pictures"
    (root / "a").mkdir(parents=True)
    draw(1, size=400).save(root / "a" / "0.png", compress_level=1)
    for i in range(1, 400):
        (root / "a" / f"{i}.png").hardlink_to(root / "a" / "0.png")
    code = (
        "import sys; from training.pictures.dataset.pack import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, str(root), str(tmp_path / "out"), "--size", "224"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 40
    while not any(a.stat().st_size > 1_000_000 for a in tmp_path.glob(".draft-*/images.npy")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait(120)
    assert not (tmp_path / "out").exists()
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "pictures"]
    assert len(packed.open_pack(tmp_path / "out").images) == 400


def test_the_command_tells_what_is_wrong_with_the_folder(folder, tmp_path, capsys):
    (folder / "empty").mkdir()
    (folder / "lone").mkdir()
    (folder / "tree" / "tree-0.png").rename(folder / "lone" / "1.png")
    (folder / "tree" / "read.me").touch()
    assert pack.main([str(folder), str(tmp_path / "out"), "--size", "16"]) == 0
    said = capsys.readouterr().out
    assert "left out, no picture in: empty" in said
    assert "a single picture, too few for training and test: lone" in said
    assert "left out: 1 files, not a picture by its name" in said
    assert "24 pictures of 4 classes, 1 left out" in said
    assert json.loads((tmp_path / "out" / "pack.json").read_text())["config"]["height"] == 16
    assert pack.main([str(folder), str(tmp_path / "out")]) == 1
    assert "exists already" in capsys.readouterr().err
