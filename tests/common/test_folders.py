"""What lies in a folder is found once, and what systems put there is not."""

import os

import pytest

from common.folders import (
    entries,
    files_below,
    is_hidden,
    is_special,
    read_regular,
    status,
    without_notes,
)


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "._1.jpg", "Thumbs.db", "ehthumbs.db", "desktop.ini", "__MACOSX"],
)
def test_what_systems_put_into_folders_is_hidden(name):
    assert is_hidden(name)
    assert not is_hidden(f"my {name.lstrip('.')}")


def test_files_are_in_order_and_hidden_ones_are_not_there(tmp_path):
    for name in ("b/2", "b/1", "a/deep/er", "z", ".hidden/x", "b/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(files_below(tmp_path)) == ["z", "a/deep/er", "b/1", "b/2"]


def test_linked_folders_are_followed_once_and_loops_end(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "a", elsewhere):
        folder.mkdir(parents=True)
        (folder / "1").touch()
    (root / "linked").symlink_to(elsewhere)
    (root / "again").symlink_to(elsewhere)
    (root / "loop").symlink_to(root)
    (root / "gone").symlink_to(tmp_path / "nothing")
    assert list(files_below(root)) == ["gone", "a/1", "again/1"]


def test_notes_beside_a_file_are_not_there(tmp_path):
    assert without_notes(["a.wav", "a.json", "b.json", "c.wav"]) == ["a.wav", "b.json", "c.wav"]
    assert without_notes(["a.json"]) == ["a.json"]
    assert without_notes(["a.b.wav", "a.json", "a.b.json"]) == ["a.b.wav", "a.json"]
    for name in ("a.wav", "a.json", "b.json"):
        (tmp_path / name).touch()
    assert list(files_below(tmp_path)) == ["a.wav", "b.json"]


def test_pipes_sockets_and_devices_are_known_from_files_folders_and_what_is_not_there(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "file").touch()
    assert all(map(is_special, (tmp_path / "pipe", tmp_path / "link", "/dev/null")))
    assert not any(map(is_special, (tmp_path, tmp_path / "file", tmp_path / "nothing")))


def test_what_is_special_is_not_read_and_a_file_is(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_bytes(b"1")
    assert read_regular(tmp_path / "file") == b"1"
    for name, error in (("pipe", OSError), ("nothing", FileNotFoundError)):
        with pytest.raises(error):
            read_regular(tmp_path / name)


def test_a_folder_that_is_not_there_has_no_entries_and_no_status(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("nothing", "file/below", "loop"):
        assert entries(str(tmp_path / name)) == []
        assert status(str(tmp_path / name)) is None
    assert sorted(entries(str(tmp_path))) == ["file", "loop"]
    assert status(str(tmp_path)).st_ino == tmp_path.stat().st_ino
