"""Arrays get their space first; folders appear complete, by one process at a time."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from training.common.disk import (
    array_on_disk,
    cache_folder,
    content_of,
    new_folder,
    size_text,
)
from training.common.errors import MaterialError

ROOT = Path(__file__).parents[3]

SCRIPT = """
import sys, numpy as np
from pathlib import Path
from training.common.errors import MaterialError
from training.common.disk import array_on_disk
try:
    array_on_disk(Path(sys.argv[1]), np.float32, (int(sys.argv[2]),))
except MaterialError as error:
    sys.exit(str(error))
"""
LIMIT = 100_000


def attempt(path, count):
    """A bound on the size of files stands for the disk: the system refuses in the same place."""
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, path, str(count)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT)),
    )


def test_an_array_is_as_asked_for_and_its_room_is_taken(tmp_path):
    array = array_on_disk(tmp_path / "a.npy", np.float16, (1000, 50))
    array[-1] = 7
    array.flush()
    assert np.load(tmp_path / "a.npy")[-1, 0] == 7
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 100_000, "no holes"


def test_what_just_fits_is_taken_and_one_number_more_is_not(tmp_path):
    fits = (LIMIT - 128) // 4
    assert attempt(tmp_path / "fits.npy", fits).returncode == 0
    answer = attempt(tmp_path / "more.npy", fits + 1)
    assert answer.returncode == 1
    assert "no room for 99.9 kB" in answer.stderr
    assert "cache=DIR" in answer.stderr
    assert not (tmp_path / "more.npy").exists()


WRITER = """
import sys, time
from pathlib import Path
from training.common import disk
with getattr(disk, sys.argv[1])(Path(sys.argv[2])) as draft:
    (draft / "half").write_text("half")
    print("begun", flush=True)
    time.sleep(60)
"""


def begin(function, folder):
    """A process that has begun a folder and hangs."""
    command = [sys.executable, "-c", WRITER, function, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    assert process.stdout.readline() == b"begun\n"
    return process


def end(process):
    os.kill(process.pid, signal.SIGKILL)
    process.wait(120)
    process.stdout.close()


BOTH = pytest.mark.parametrize("function", [cache_folder, new_folder])


@BOTH
def test_the_folder_appears_when_all_is_written(function, tmp_path):
    with function(tmp_path / "deep" / "out") as draft:
        (draft / "file").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert (tmp_path / "deep" / "out" / "file").read_text() == "x"


@BOTH
def test_nothing_is_left_when_something_goes_wrong(function, tmp_path):
    with pytest.raises(IsADirectoryError), function(tmp_path / "out") as draft:
        draft.write_text("a folder cannot be written")
    assert list(tmp_path.iterdir()) == []


@BOTH
def test_a_killed_process_leaves_no_folder_and_the_next_one_starts_clean(function, tmp_path):
    end(begin(function.__name__, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    with function(tmp_path / "out") as draft:
        assert list(draft.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_new_folder_never_replaces_one_that_exists(tmp_path):
    with pytest.raises(MaterialError, match="exists already"), new_folder(tmp_path):
        pass


def test_a_new_folder_is_written_by_one_process(tmp_path):
    process = begin("new_folder", tmp_path / "out")
    try:
        with (
            pytest.raises(MaterialError, match="another process is writing"),
            new_folder(tmp_path / "out"),
        ):
            pass
    finally:
        end(process)


def test_a_cache_folder_that_another_process_made_first_is_kept(tmp_path):
    with cache_folder(tmp_path / "out") as draft:
        (draft / "mine").touch()
        with cache_folder(tmp_path / "out") as other:
            (other / "theirs").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["theirs"]


def test_an_error_of_the_writer_is_not_taken_for_a_folder_that_exists(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError), cache_folder(tmp_path / "out") as draft:
        draft.mkdir()


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (204_800, "205 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (1_260_000_000, "1.26 GB"),
        (2_516_600_000_000, "2,520 GB"),
    ],
)
def test_a_size_has_three_digits_and_a_unit_that_fits(count, text):
    assert size_text(count) == text


def test_content_is_that_of_the_file_now_wherever_it_lies(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_bytes(b"abc")
    other.write_bytes(b"abc")
    first = content_of(one)
    assert content_of(other) == first
    one.write_bytes(b"abd")
    os.utime(one, ns=(1, 1))
    assert content_of(one) != first
    with pytest.raises(FileNotFoundError):
        content_of(tmp_path / "none")
