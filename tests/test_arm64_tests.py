"""Tests run on an emulated aarch64, and what is left out is counted by its reason."""

import json
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
    assert arm64_tests.refusal(["true"]) == ""
    refused = arm64_tests.refusal(["sh", "-c", "echo permission denied >&2; exit 1"])
    assert re.search(r"Linux 6\.7.*permission denied", refused)


def test_where_no_emulator_may_be_registered_the_tests_are_left_out_unless_named(
    monkeypatch, capsys
):
    monkeypatch.setattr(arm64_tests.arm64, "emulator", lambda: "/emulator")
    monkeypatch.setattr(arm64_tests, "UNSHARE", ("sh", "-c", "echo too old >&2; exit 1"))
    assert arm64_tests.main([]) == 0
    assert "left out: the tests need Linux 6.7" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="too old"):
        arm64_tests.main(["tests/common"])


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
    found = arm64_tests.document(report, ["tests"], {"load": 0.0})
    told = [{name: row[name] for name in ("passed", "failed", "left_out")} for row in found["rows"]]
    assert told == 2 * [{"passed": 1, "failed": 3, "left_out": 4}]
    assert found["rows"][1]["what"] == "all"
    assert found["note"].endswith("Left out: 3 no server; 1 another processor.")
    assert found["command"] == "make arm64 TESTS='tests'"


def test_tests_are_counted_by_folder():
    assert arm64_tests.folder_of("tests.features.kernels.test_loader") == "tests/features"
    assert arm64_tests.folder_of("tests.service.queue.test_codec.TestIt") == "tests/service/queue"
    assert arm64_tests.folder_of("tests.training.test_x") == "tests/training"


@pytest.mark.slow  # installs from the registry, and emulates
@pytest.mark.timeout(1_800)
def test_tests_and_the_processes_they_start_run_on_aarch64(tmp_path):
    if os.geteuid() or not shutil.which("debootstrap"):
        pytest.skip("debootstrap is not there, or needs root")
    registered = Path("/proc/sys/fs/binfmt_misc")
    before = sorted(registered.iterdir())
    assert arm64_tests.main([f"--json={tmp_path}/r.json", "tests/common/test_atomic.py"]) == 0
    (row, total) = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert (row["what"], row["failed"], row["passed"] > 0) == ("tests/common", 0, True)
    assert total["passed"] == row["passed"]
    assert sorted(registered.iterdir()) == before
