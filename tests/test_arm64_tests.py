"""Tests run on an emulated aarch64, and what is left out is counted by its reason."""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.server_process import ROOT
from tools import arm64_tests

OUTCOMES = """
import pytest

def test_passes():
    pass

@pytest.mark.parametrize("at", range(2))
def test_fails(at):
    assert False

@pytest.fixture
def broken():
    raise ValueError

def test_cannot_begin(broken):
    pass

@pytest.mark.parametrize("at", range(3))
def test_has_no_server(at):
    pytest.skip("no server")

@pytest.mark.skipif(True, reason="another processor")
def test_of_another_processor():
    pass
"""


def matches(header):
    """Whether Linux would start the emulator for this."""
    *_, magic, mask, _program, _flags = arm64_tests.registration("/emulator").split(":")
    magic, mask = (
        text.encode().decode("unicode_escape").encode("latin-1") for text in (magic, mask)
    )
    assert len(magic) == len(mask) == 20
    return len(header) >= 20 and all(
        have & bits == want & bits for have, want, bits in zip(header, magic, mask, strict=False)
    )


def test_the_emulator_is_started_for_aarch64_alone():
    compiled = {path.name: path for path in ROOT.glob("features/kernels/compiled/*.so")}
    found = {name: matches(path.read_bytes()[:64]) for name, path in compiled.items()}
    assert set(found.values()) == {True, False}
    assert {name for name, matched in found.items() if matched} == {
        name for name in found if name.startswith("aarch64")
    }
    own = Path(sys.executable).resolve().read_bytes()[:64]
    assert matches(own) == (sys.platform == "linux" and platform.machine() == "aarch64")


def test_without_leave_to_register_the_error_names_what_is_needed():
    arm64_tests.check(["true"])
    with pytest.raises(SystemExit, match=r"Linux 6\.7.*permission denied"):
        arm64_tests.check(["sh", "-c", "echo permission denied >&2; exit 1"])


def test_all_that_tests_need_is_declared():
    named = [re.split("[<=>]", each)[0] for each in arm64_tests.requirements()]
    assert sorted(named) == sorted(arm64_tests.NEEDED)


def test_every_folder_has_tests():
    assert [each for each in arm64_tests.FOLDERS if not list(ROOT.glob(f"{each}/test_*.py"))] == []


def test_outcomes_are_counted_and_reasons_named_the_most_frequent_first(tmp_path):
    (tmp_path / "test_outcomes.py").write_text(OUTCOMES)
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull]
    command += [f"--rootdir={tmp_path}", f"--junitxml={report}", str(tmp_path)]
    subprocess.run(command, capture_output=True, check=False, cwd=tmp_path)
    assert arm64_tests.summary(report) == [
        "tests: 1 passed, 3 failed, 4 left out",
        "left out: 3: no server",
        "left out: 1: another processor",
    ]


@pytest.mark.slow  # installs from the registry, and emulates
@pytest.mark.timeout(1_800)
def test_tests_and_the_processes_they_start_run_on_aarch64(capfd):
    if os.geteuid() or not shutil.which("debootstrap"):
        pytest.skip("debootstrap is not there, or needs root")
    registered = Path("/proc/sys/fs/binfmt_misc")
    before = sorted(registered.iterdir())
    assert arm64_tests.main(["tests/common/test_atomic.py"]) == 0
    assert re.search(r"tests: \d+ passed, 0 failed", capfd.readouterr().out)
    assert sorted(registered.iterdir()) == before
