"""The units for systemd: what its own tools say of them."""

import shutil
import subprocess

import pytest

from tests.helpers.server_process import BIN, ROOT

UNITS = ("timbre", "timbre-worker")


@pytest.fixture(params=UNITS)
def unit(request, tmp_path):
    """A unit whose command is there."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd on this machine")
    shipped = (ROOT / "deploy" / "systemd" / f"{request.param}.service").read_text("utf-8")
    path = tmp_path / f"{request.param}.service"
    path.write_text(shipped.replace("/opt/timbre/.venv/bin", str(BIN)), "utf-8")
    return path


def test_a_unit_has_no_fault_and_no_unknown_line(unit):
    told = subprocess.run(
        ["systemd-analyze", "verify", unit], capture_output=True, text=True, check=True
    )
    assert unit.name not in told.stderr


def test_the_exposure_of_a_unit_is_at_most_three(unit):
    # Its threshold is in tenths.
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager"]
    subprocess.run([*command, unit], capture_output=True, check=True)


@pytest.mark.parametrize("name", UNITS)
def test_both_units_differ_only_in_what_they_run(name):
    first, other = (
        (ROOT / "deploy" / "systemd" / f"{each}.service").read_text("utf-8").splitlines()
        for each in (UNITS[0], name)
    )
    differing = {a.split("=")[0] for a, b in zip(first, other, strict=True) if a != b}
    may = {"Description", "EnvironmentFile", "ExecStart"}
    assert {key for key in differing if not key.startswith("#")} <= may
