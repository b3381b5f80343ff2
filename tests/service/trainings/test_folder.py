"""The folder of trainings: made or rejected, locked by one at a time, its files read strictly."""

import fcntl
import re
import resource
import subprocess
import sys

import pytest

from common.errors import Busy, InsufficientStorage, TimbreError, Unprocessable
from service.trainings import folder as module
from service.trainings.folder import (
    COLLECTIONS,
    LOCK,
    locked,
    new_id,
    open_folder,
    read_object,
    storing,
    write_json,
)
from service.trainings.record import ID


def test_the_folder_is_made_and_may_be_there_already(tmp_path):
    for _ in range(2):
        assert open_folder(str(tmp_path / "a" / "b")) == (tmp_path / "a" / "b").resolve()
    assert (tmp_path / "a" / "b" / COLLECTIONS).is_dir()


def test_a_folder_that_cannot_be_used_is_rejected_in_words(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Unprocessable, match=r"trainings=.* cannot be used: Not a directory"):
        open_folder(str(tmp_path / "file" / "x"))


def test_the_lock_is_held_by_one_process_and_freed_when_that_is_killed(tmp_path, monkeypatch):
    code = (
        "import sys, time; from pathlib import Path; from service.trainings.folder import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    with (tmp_path / LOCK).open("ab") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    monkeypatch.setattr(module, "LOCK_S", 0.05)
    with pytest.raises(Busy, match=r"another process has held .* for 0\.05 s"), locked(tmp_path):
        pass
    monkeypatch.undo()
    holder.kill()
    with locked(tmp_path):
        pass
    holder.wait()
    holder.stdout.close()


def test_ids_sort_by_time_and_none_is_twice():
    ids = [new_id() for _ in range(200)]
    assert len(set(ids)) == 200
    assert [id_[:19] for id_ in ids] == sorted(id_[:19] for id_ in ids)
    assert all(re.fullmatch(ID, id_) for id_ in ids)


def test_objects_are_read_as_they_were_written_and_others_are_rejected(tmp_path):
    path = tmp_path / "x.json"
    assert read_object(path) is None
    assert read_object(tmp_path / "lock" / "x.json") is None
    write_json(path, {"a": 1})
    assert read_object(path) == {"a": 1}
    for text in ("", "[1]", '{"a": NaN}', "{"):
        path.write_text(text)
        with pytest.raises(TimbreError, match=r"x\.json is not"):
            read_object(path)


def test_a_full_disk_and_other_errors_are_told_apart(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(InsufficientStorage, match="File too large"), storing("the clip"):
            write_json(tmp_path / "x.json", "x" * 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(TimbreError, match="the clip cannot be stored: File exists") as caught,
        storing("the clip"),
    ):
        write_json(tmp_path / "file" / "x.json", 1)
    assert not isinstance(caught.value, InsufficientStorage)
