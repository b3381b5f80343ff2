"""The wheel gives the same features and scores on an emulated aarch64."""

import os
import shutil

import numpy as np
import pytest

from benchmarks.reporting import results
from tools import arm64


def test_without_an_emulator_the_error_names_its_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match="qemu-user-static"):
        arm64.emulator()
    (tmp_path / "qemu-aarch64").touch(mode=0o755)
    assert arm64.emulator() == str(tmp_path / "qemu-aarch64")


def test_a_root_that_was_unpacked_before_is_taken_as_it_is(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").touch()
    for name in arm64.PACKAGES:
        (tmp_path / "usr/share/doc" / name).mkdir(parents=True)
    assert arm64.unpacked(tmp_path) == tmp_path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["proc", "usr"]


def test_a_root_that_lacks_a_package_is_unpacked_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    (tmp_path / "root/proc").mkdir(parents=True)
    (tmp_path / "root/proc/cpuinfo").touch()
    with pytest.raises(FileNotFoundError, match="debootstrap"):
        arm64.unpacked(tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []


def test_the_sounds_are_windows_of_samples_in_range():
    sounds = arm64.sounds()
    assert sounds.shape == (8, 44_100)
    assert sounds.dtype == np.float32
    assert np.abs(sounds).max() <= 1.5
    assert not sounds[2].any()


@pytest.mark.slow  # installs from the registry, and emulates
@pytest.mark.timeout(1_800)
def test_features_and_scores_are_those_of_this_processor(tmp_path):
    if os.geteuid() or not shutil.which("debootstrap"):
        pytest.skip("debootstrap is not there, or needs root")
    made = tmp_path / "arm64.json"
    assert arm64.main(["--json", str(made)]) == 0
    (row,) = results.read(made)["rows"]
    assert "aarch64" in row["what"]
    assert max(row["features"], row["log_mel"]) <= arm64.NEAR
