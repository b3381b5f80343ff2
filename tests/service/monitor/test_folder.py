"""A watched folder: each recording once, when it has stopped growing."""

import os
import shutil
from datetime import UTC, datetime

import pytest

from service.monitor.folder import Recording, WatchedFolder


def names(folder):
    return [recording.path.name for recording in folder.ready()]


def test_a_file_is_ready_when_two_looks_found_it_the_same(tmp_path):
    folder = WatchedFolder(tmp_path, name="a")
    path = tmp_path / "card" / "one.wav"
    path.parent.mkdir()
    for size in (10, 20, 30):
        path.write_bytes(bytes(size))
        assert names(folder) == []
    assert names(folder) == ["one.wav"]
    with path.open("ab") as file:
        file.write(b"more")
    assert names(folder) == []
    assert names(folder) == ["one.wav"]


def test_what_was_taken_is_not_taken_again_after_a_restart_either(tmp_path):
    path = tmp_path / "one.wav"
    path.write_bytes(b"sound")
    folder = WatchedFolder(tmp_path, name="a")
    folder.ready()
    folder.take(folder.ready()[0])
    assert names(folder) == []
    again = WatchedFolder(tmp_path, name="a")
    assert [names(again) for _ in range(3)] == [[], [], []]
    other = WatchedFolder(tmp_path, name="b")
    assert [names(other) for _ in range(2)] == [[], ["one.wav"]]


def test_a_new_recording_under_an_old_name_is_taken(tmp_path):
    path = tmp_path / "one.wav"
    path.write_bytes(b"sound")
    folder = WatchedFolder(tmp_path, name="a")
    folder.ready()
    folder.take(folder.ready()[0])
    path.write_bytes(b"other sound")
    folder.ready()
    assert names(folder) == ["one.wav"]


def test_other_files_empty_ones_and_hidden_ones_are_no_recordings(tmp_path):
    for name in ("a.txt", "a.csv", ".b.wav", "notes"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty.wav").touch()
    (tmp_path / "UPPER.WAV").write_bytes(b"x")
    folder = WatchedFolder(tmp_path, name="a")
    folder.ready()
    assert names(folder) == ["UPPER.WAV"]


def test_a_folder_that_vanishes_is_an_error_and_may_come_back(tmp_path):
    path = tmp_path / "cards"
    folder = WatchedFolder(path, name="a")
    with pytest.raises(FileNotFoundError, match="cards is no folder"):
        folder.ready()
    path.mkdir()
    (path / "one.wav").write_bytes(b"x")
    folder.ready()
    assert names(folder) == ["one.wav"]
    shutil.rmtree(path)
    with pytest.raises(FileNotFoundError):
        folder.ready()


@pytest.mark.parametrize("text", ["[]", "{", "nonsense", '"a"'])
def test_a_damaged_list_of_what_was_taken_is_begun_anew(text, tmp_path):
    (tmp_path / ".timbre-a.json").write_text(text)
    (tmp_path / "one.wav").write_bytes(b"x")
    folder = WatchedFolder(tmp_path, name="a")
    folder.ready()
    folder.take(folder.ready()[0])
    assert names(WatchedFolder(tmp_path, name="a")) == []


@pytest.mark.parametrize(
    "name", ["20260531_063000.WAV", "hall-20260531T063000-2.wav", "20260531063000.flac"]
)
def test_recorders_write_into_the_name_when_it_began(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"x")
    stat = path.stat()
    begin = Recording(path, stat.st_size, stat.st_mtime_ns).begin(10)
    assert datetime.fromtimestamp(begin, UTC).isoformat() == "2026-05-31T06:30:00+00:00"


@pytest.mark.parametrize("name", ["a.wav", "20261331_063000.wav", "120260531_0630000.wav"])
def test_without_a_time_in_the_name_it_ended_when_it_was_written(name, tmp_path):
    path = tmp_path / name
    path.write_bytes(b"x")
    os.utime(path, (1_000, 1_000))
    stat = path.stat()
    assert Recording(path, stat.st_size, stat.st_mtime_ns).begin(10) == 990
