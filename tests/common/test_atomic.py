"""A reader sees a file or folder whole, or as it was; what a killed writer left is removed."""

import os
import signal
import subprocess
import sys

import pytest

from common import atomic
from common.atomic import atomic_file, atomic_folder, remove_stale_drafts, write_atomic


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "deep" / "table.npz"
    with atomic_file(target) as draft:
        assert draft.suffix == ".npz"
        draft.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert names(target.parent) == ["table.npz"]


@pytest.mark.parametrize("durable", [False, True])
def test_a_file_that_is_written_again_is_the_old_or_the_new_one(tmp_path, durable):
    target = tmp_path / "keys.json"
    write_atomic(target, "old", mode=0o600, durable=durable)
    with pytest.raises(ZeroDivisionError), atomic_file(target) as draft:
        draft.write_text(str(1 / 0))
    assert target.read_text() == "old"
    assert target.stat().st_mode & 0o777 == 0o600
    write_atomic(target, b"new", durable=durable)
    assert target.read_bytes() == b"new"
    assert target.stat().st_mode & 0o777 == 0o644
    assert names(tmp_path) == ["keys.json"]


def test_a_draft_that_was_never_written_replaces_nothing(tmp_path):
    (tmp_path / "kept").write_text("old")
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "kept"):
        pass
    assert (tmp_path / "kept").read_text() == "old"


def test_a_folder_appears_when_it_is_complete(tmp_path):
    with atomic_folder(tmp_path / "1") as draft:
        (draft / "model").write_text("new")
        assert not (tmp_path / "1").exists()
    assert (tmp_path / "1" / "model").read_text() == "new"
    assert (tmp_path / "1").stat().st_mode & 0o777 == 0o755
    assert names(tmp_path) == ["1"]


@pytest.mark.parametrize("there", ["folder", "file"])
def test_what_exists_is_not_replaced_unasked(tmp_path, there):
    target = tmp_path / "1"
    if there == "file":
        target.write_text("old")
    else:
        target.mkdir()
        (target / "model").write_text("old")
    with pytest.raises(FileExistsError, match="exists already"), atomic_folder(target) as draft:
        (draft / "model").write_text("new")
    assert (target if there == "file" else target / "model").read_text() == "old"
    assert names(tmp_path) == ["1"]


def test_a_folder_takes_the_place_of_another_when_asked(tmp_path):
    for text in ("old", "new"):
        with atomic_folder(tmp_path / "report", replace=True) as draft:
            (draft / text).write_text(text)
    assert names(tmp_path / "report") == ["new"]
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "report", replace=True):
        raise ZeroDivisionError
    assert names(tmp_path / "report") == ["new"]
    assert names(tmp_path) == ["report"]


CODE = """
import sys; from pathlib import Path
from common.atomic import atomic_file, atomic_folder
with atomic_file(Path(sys.argv[1], "file")) as draft, atomic_folder(Path(sys.argv[1], "folder")):
    draft.write_text("half")
    print("begun", flush=True)
    input()
"""


def test_what_a_killed_writer_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    command = [sys.executable, "-c", CODE, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as writer:
        assert writer.stdout.readline() == b"begun\n"
        remove_stale_drafts(tmp_path)
        assert len(names(tmp_path)) == 2
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    (tmp_path / f".draft-another-host-{writer.pid}-0-file").write_text("theirs")
    remove_stale_drafts(tmp_path)
    assert names(tmp_path) == [f".draft-another-host-{writer.pid}-0-file"]


def test_the_first_write_to_a_folder_removes_what_was_left_there(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic, "_is_running", lambda process: process == os.getpid())
    left = tmp_path / f"{atomic._own_prefix()}1-0-file"
    left.write_text("half")
    write_atomic(tmp_path / "file", "whole")
    assert names(tmp_path) == ["file"]


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"Not a directory|exists"):
        write_atomic(tmp_path / "file" / "below", "text")
