"""Board, power mode, cores and temperature, where the system tells them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from service.doctor.finding import Finding, attention, good, graded

WARM_C, HOT_C = 80.0, 95.0
"""Degrees from which on a processor slows itself down, or soon switches off."""
NVPMODEL_S = 5.0
"""Seconds that `nvpmodel -q` may take."""


def check_board(root: Path = Path("/")) -> list[Finding]:
    """Return what is known of the board; nothing of a machine that does not say. root: of /sys."""
    model = _text(root / "proc/device-tree/model").strip("\0 \n")
    findings = [good("board", model)] if model else []
    sleeping = check_cores(
        _text(root / "sys/devices/system/cpu/online").strip(),
        _text(root / "sys/devices/system/cpu/present").strip(),
    )
    temperatures = {}
    for zone in sorted(root.glob("sys/class/thermal/thermal_zone*")):
        degrees = _text(zone / "temp").strip()
        if degrees.lstrip("-").isdecimal():
            temperatures[_text(zone / "type").strip() or zone.name] = int(degrees) / 1_000
    return [*findings, *sleeping, *check_temperature(temperatures), *check_power()]


def check_cores(online: str, present: str) -> list[Finding]:
    """Compare the cores that are switched on with those there are, as the kernel lists them."""
    if not online or online == present:
        return []
    return [
        attention(
            "cores",
            f"{online} of {present} are switched on",
            "choose a power mode with all cores (Jetson: nvpmodel -m 0)",
        )
    ]


def check_temperature(zones: dict[str, float]) -> list[Finding]:
    """Judge the hottest zone, in degrees Celsius by name."""
    if not zones:
        return []
    name, degrees = max(zones.items(), key=lambda zone: zone[1])
    return [
        graded(
            "temperature",
            f"{degrees:.0f} °C ({name})",
            bad_if=degrees >= HOT_C,
            attention_if=degrees >= WARM_C,
            todo="cool it: a hot processor slows down, and figures measured now are too low",
        )
    ]


def check_power(command: Sequence[str] = ("nvpmodel", "-q")) -> list[Finding]:
    """Return the power mode of a Jetson; nothing elsewhere. command: what prints it."""
    program = shutil.which(command[0])
    if not program:
        return []
    try:
        shown = subprocess.run(  # noqa: S603 - no input of others
            [program, *command[1:]],
            capture_output=True,
            text=True,
            check=True,
            timeout=NVPMODEL_S,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        return [attention("power mode", f"not known: {error}", "run nvpmodel -q as root")]
    return [good("power mode", " ".join(shown.split()))]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
