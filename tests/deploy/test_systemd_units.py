"""The units for systemd: what its own tools say of them."""

import shutil
import subprocess

import pytest

from tests.helpers.server_process import BIN, ROOT

UNITS = ("timbre", "timbre-worker", "timbre-monitor")


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
def test_units_differ_only_in_what_they_run_and_the_microphone(name):
    first, other = (
        set((ROOT / "deploy" / "systemd" / f"{each}.service").read_text("utf-8").splitlines())
        for each in (UNITS[0], name)
    )
    differing = {line.split("=")[0] for line in first ^ other if not line.startswith("#")}
    may = {"Description", "EnvironmentFile", "ExecStart"}
    if name == "timbre-monitor":
        may |= {"After", "Restart", "PrivateDevices", "DevicePolicy", "DeviceAllow"}
        may |= {"SupplementaryGroups"}
    assert differing <= may
