"""A watched folder: each recording once, when it has stopped growing."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from service.monitor.folder import LONG_S, Recording, WatchedFolder


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


def test_what_was_begun_before_a_kill_is_taken_again_and_known_to_be_so(tmp_path):
    for name in ("one.wav", "two.wav"):
        (tmp_path / name).write_bytes(b"sound")
    folder = WatchedFolder(tmp_path, name="a")
    folder.ready()
    one, two = folder.ready()
    folder.begin(one)
    assert not folder.was_begun(one)
    again = WatchedFolder(tmp_path, name="a")
    assert [names(again) for _ in range(2)] == [[], ["one.wav", "two.wav"]]
    assert [again.was_begun(each) for each in (one, two)] == [True, False]
    again.begin(one)
    again.take(one)
    last = WatchedFolder(tmp_path, name="a")
    assert [names(last) for _ in range(2)] == [[], ["two.wav"]]
    assert not last.was_begun(one)


def test_a_list_of_an_earlier_version_and_a_torn_line_cost_nothing_else(tmp_path):
    for name in ("one.wav", "two.wav", "three.wav"):
        (tmp_path / name).write_bytes(b"sound")
    folder = WatchedFolder(tmp_path, name="a")
    folder.ready()
    one, three, two = folder.ready()
    # One object of all, and no end of the line.
    (tmp_path / ".timbre-a.json").write_text(f'{{"{one.key}":"one.wav"}}')
    folder.take(two)
    with (tmp_path / ".timbre-a.json").open("a") as file:
        file.write('{"torn')
    WatchedFolder(tmp_path, name="a").take(three)
    again = WatchedFolder(tmp_path, name="a")
    assert [names(again) for _ in range(2)] == [[], []]


def test_a_mark_that_could_not_be_kept_is_kept_with_the_next(tmp_path):
    for name in ("one.wav", "two.wav"):
        (tmp_path / name).write_bytes(b"sound")
    folder = WatchedFolder(tmp_path, name="a")
    folder.ready()
    one, two = folder.ready()
    marks = tmp_path / ".timbre-a.json"
    marks.mkdir()
    with pytest.raises(IsADirectoryError):
        folder.take(one)
    marks.rmdir()
    folder.take(two)
    again = WatchedFolder(tmp_path, name="a")
    assert [names(again) for _ in range(2)] == [[], []]


def test_marks_of_several_threads_are_all_kept(tmp_path):
    recordings = [Recording(tmp_path / f"{number}.wav", 1, 0) for number in range(200)]
    folder = WatchedFolder(tmp_path, name="a")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(folder.begin, recordings))
        list(pool.map(folder.take, recordings[::2]))
    again = WatchedFolder(tmp_path, name="a")
    assert [again.was_begun(each) for each in recordings] == [False, True] * 100


@pytest.mark.parametrize(("since_s", "told"), [(LONG_S - 1, False), (LONG_S, True)])
def test_a_file_that_never_stops_growing_is_told_once(since_s, told, tmp_path):
    path, folder = tmp_path / "one.wav", WatchedFolder(tmp_path, name="a")
    for at_s in (0.0, since_s):
        with path.open("ab") as file:
            file.write(b"more")
        assert folder.ready(at_s) == []
    assert folder.growing(since_s) == ([path] if told else [])
    assert folder.growing(since_s) == []
    folder.ready(since_s)
    assert names(folder) == ["one.wav"]
    assert folder.growing(since_s + 2 * LONG_S) == []


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
