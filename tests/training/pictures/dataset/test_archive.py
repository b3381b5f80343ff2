"""Zips of pictures: what they give, in every command, and what is refused."""

import csv
import shutil
import zipfile
from pathlib import Path

import pytest

from tests.training.pictures.helpers.shapes import collection
from training.common.errors import MaterialError
from training.common.progress import stage
from training.data_cli.main import main as data
from training.pictures.dataset import archive as archive_module
from training.pictures.dataset.archive import folder_of, holds_pictures, unzip
from training.pictures.dataset.packed import open_pack


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = collection(tmp_path_factory.mktemp("archive") / "pictures", {"box": 8, "disc": 8})
    for path in sorted(folder.rglob("*.png")):
        path.rename(path.with_stem(f"{path.parent.name} {path.stem}"))
    return folder


@pytest.fixture
def archive(pictures, tmp_path, zipped, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return zipped(pictures, tmp_path / "some.zip")


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("levels", "inner"), [(1, "outer/pictures"), (2, "outer"), (3, ".")])
def test_folders_above_those_of_the_layout_are_stepped_into(levels, inner, pictures, tmp_path):
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as archive:
        for path in pictures.rglob("*.png"):
            archive.write(path, Path("outer") / path.relative_to(pictures.parent))
    top = unzip(tmp_path / "deep.zip", tmp_path / "cache", levels=3)
    assert unzip(tmp_path / "deep.zip", tmp_path / "cache", levels=levels) == top / inner


def test_a_file_that_is_no_zip_and_one_that_climbs_out_are_refused(tmp_path):
    (tmp_path / "no.zip").write_bytes(b"PK no")
    with pytest.raises(MaterialError, match="cannot be read as a zip"):
        unzip(tmp_path / "no.zip", tmp_path / "cache")
    with zipfile.ZipFile(tmp_path / "climbs.zip", "w") as archive:
        archive.writestr("../outside.png", b"x")
    with pytest.raises(MaterialError, match="a path outside of it"):
        unzip(tmp_path / "climbs.zip", tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())
    assert not (tmp_path / "outside.png").exists()


@pytest.mark.parametrize("name", ["..\\1.png", "\\1.png", "C:\\cat\\1.png"])
def test_a_zip_with_backslashes_out_of_it_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "w.zip", "w") as archive:
        archive.writestr(name, b"x")
    with pytest.raises(MaterialError, match="a path outside of it"):
        unzip(tmp_path / "w.zip", tmp_path / "cache")


def test_every_command_on_pictures_takes_a_zip_for_its_folder(archive, pictures, tmp_path, capsys):
    (tmp_path / "names.txt").write_text("box\ndisc\n")
    for name, given in (("zip", archive), ("folder", pictures)):
        out = tmp_path / name
        assert data(["pack", str(given), str(out / "pack"), "--size", "16"]) == 0
        assert data(["split", str(given), str(out / "split")]) == 0
        assert data(["clean", str(given), "--list", str(out / "lists" / "found.csv")]) == 0
        match = ["match", str(given), str(tmp_path / "names.txt"), str(out / "match")]
        assert data([*match, "--folders", str(out / "matched")]) == 0
    packs = [open_pack(tmp_path / name / "pack") for name in ("zip", "folder")]
    assert packs[0].pictures == packs[1].pictures
    for name in ("split/split.csv", "lists/found.csv", "match/match.csv"):
        assert rows(tmp_path / "zip" / name) == rows(tmp_path / "folder" / name)
    for name in ("zip", "folder"):
        found = (tmp_path / name / "matched").rglob("*.png")
        assert sorted(path.parent.name for path in found) == ["box"] * 8 + ["disc"] * 8


def test_a_zip_is_not_cleaned_on_the_page_which_moves_files(archive, capsys):
    assert data(["clean", str(archive)]) == 1
    assert "extract it first, or have the findings listed" in capsys.readouterr().err


def test_a_command_that_takes_packs_says_how_one_is_made(archive, tmp_path, capsys):
    assert data(["describe", str(archive), "net.onnx", str(tmp_path / "out.h5")]) == 1
    assert f"{archive} is not a pack: make one with `timbre data pack`" in capsys.readouterr().err


def test_a_zip_of_pictures_is_known_from_one_of_anything_else(archive, tmp_path):
    assert holds_pictures(archive)
    with zipfile.ZipFile(tmp_path / "sounds.zip", "w") as other:
        other.writestr("cat/1.wav", b"RIFF")
    assert not holds_pictures(tmp_path / "sounds.zip")
    (tmp_path / "text.zip").write_text("no zip")
    assert not holds_pictures(tmp_path / "text.zip")


def test_a_folder_is_taken_as_it_is(tmp_path):
    assert folder_of(tmp_path, stage) == tmp_path
    assert folder_of(tmp_path / "nowhere", stage) == tmp_path / "nowhere"


def made(path, entries, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_a_zip_whose_content_is_damaged_is_refused_by_its_name(tmp_path, method):
    path = made(tmp_path / "hurt.zip", [("cat/1.png", bytes(range(256)) * 40)], method)
    whole = path.read_bytes()
    begin, end = 30 + len("cat/1.png"), whole.rindex(b"PK\1\2")
    for at in (begin + 4, (begin + end) // 2):
        path.write_bytes(
            whole[:at] + bytes(255 - byte for byte in whole[at : at + 8]) + whole[at + 8 :]
        )
        with pytest.raises(MaterialError, match=r"hurt\.zip cannot be read as a zip: "):
            unzip(path, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_an_encrypted_zip_is_refused(tmp_path):
    path = made(tmp_path / "locked.zip", [("cat/1.png", b"x" * 20)])
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + at] |= 1
    path.write_bytes(data)
    with pytest.raises(MaterialError, match=r"locked\.zip cannot be read as a zip: .*encrypted"):
        unzip(path, tmp_path / "cache")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([("cat", b"x"), ("cat/1.png", b"x")], "cannot be read as a zip: Not a directory|exists"),
        ([(f"cat/{'a' * 300}.png", b"x")], "cannot be read as a zip: File name too long"),
        ([("cat/1.png", b"x"), ("cat\\1.png", b"y")], "'cat/1.png' twice, with other content"),
        ([("cat/1.txt", b"x")], "no pictures in .*z.zip"),
        ([], "no pictures in .*z.zip"),
        ([("1.png", b"x"), ("2.png", b"x")], "no pictures in .*z.zip: expected FOLDER/NAME"),
    ],
)
def test_a_zip_that_cannot_be_extracted_or_holds_nothing_is_named(tmp_path, entries, message):
    with pytest.raises(MaterialError, match=message):
        unzip(made(tmp_path / "z.zip", entries), tmp_path / "cache")


def test_a_zip_larger_than_the_disk_or_than_the_limits_says_which(tmp_path, monkeypatch):
    path = made(tmp_path / "z.zip", [("cat/1.png", b"x" * 2000), ("cat/2.png", b"x" * 3000)])
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=4999))
    with pytest.raises(MaterialError, match=r"2 files of 5 kB, and .* has 5 kB free: make room"):
        unzip(path, tmp_path / "cache")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5000))
    monkeypatch.setattr(archive_module, "MAX_FILES", 1)
    with pytest.raises(MaterialError, match=r"z\.zip holds 2 files of 5 kB: at most 1 of 100 GB"):
        unzip(path, tmp_path / "cache")
    monkeypatch.setattr(archive_module, "MAX_FILES", 2)
    assert unzip(path, tmp_path / "cache").is_dir()


def test_a_zip_that_holds_the_same_file_twice_is_read(tmp_path):
    path = made(tmp_path / "z.zip", [("cat/1.png", b"x"), ("cat\\1.png", b"x")])
    assert [one.name for one in unzip(path, tmp_path / "cache").rglob("*.png")] == ["1.png"]
