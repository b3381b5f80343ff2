"""What does not fit on the disk is refused before it is begun."""

import resource
import subprocess
import sys

import numpy as np

from training.common.disk import array_on_disk

SCRIPT = """
import sys, numpy as np
from pathlib import Path
from training.notes.library import MaterialError
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
    assert "no room for 0.0001 GB" in answer.stderr
    assert "cache=DIR" in answer.stderr
    assert not (tmp_path / "more.npy").exists()
