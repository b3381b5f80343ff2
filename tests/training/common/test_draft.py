"""Folders that are there whole or not at all."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from training.common.draft import draft
from training.common.errors import MaterialError


def begin(folder):
    """A process that has begun a draft and hangs."""
    script = f"""
        import time
        from pathlib import Path
        from training.common.draft import draft
        with draft(Path({str(folder)!r})) as work:
            (work / "half").write_text("half")
            print("begun", flush=True)
            time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"begun\n"
    return process


def end(process):
    os.kill(process.pid, signal.SIGKILL)
    process.wait(10)
    process.stdout.close()


def test_the_folder_appears_when_all_is_written(tmp_path):
    with draft(tmp_path / "deep" / "out") as work:
        (work / "file").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]
    assert (tmp_path / "deep" / "out" / "file").read_text() == "x"


def test_nothing_is_left_when_something_goes_wrong(tmp_path):
    with pytest.raises(IsADirectoryError), draft(tmp_path / "out") as work:
        work.write_text("a folder cannot be written")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    with pytest.raises(MaterialError, match="is there already"), draft(tmp_path):
        pass


def test_a_killed_process_leaves_no_folder_and_the_next_one_starts_clean(tmp_path):
    end(begin(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    with draft(tmp_path / "out") as work:
        assert list(work.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_two_processes_do_not_write_one_folder(tmp_path):
    process = begin(tmp_path / "out")
    try:
        with (
            pytest.raises(MaterialError, match="another process is at work"),
            draft(tmp_path / "out"),
        ):
            pass
    finally:
        end(process)
