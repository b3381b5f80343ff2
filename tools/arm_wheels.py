#!/usr/bin/env python3
"""Show that all that serving installs has a wheel for aarch64, at the tested versions.

`make arm-wheels` asks pip for each Python to resolve, of wheels alone and for glibc 2.28, what the
server needs with its microphone, gRPC, MQTT and traces, and what those need. Nothing is installed.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHONS = ("3.11", "3.12", "3.13")
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
"""Of glibc 2.28 and of older ones: pip takes a platform by its name."""
EXTRAS = ("mic", "grpc", "mqtt", "otel", "osc", "parquet")


def main() -> int:
    """Show a line for each package; return 0. Raises SystemExit where a wheel is missing."""
    found = {python: wheels(python) for python in PYTHONS}
    for name in sorted(set().union(*found.values())):
        tags = [found[python].get(name, "not needed") for python in PYTHONS]
        sys.stdout.write(f"{name:<50}{' '.join(sorted(set(tags)))}\n")
    counts = ", ".join(f"{python}: {len(of_python)}" for python, of_python in found.items())
    sys.stdout.write(f"wheels for aarch64: {counts}\n")
    return 0


def requirements() -> list[str]:
    """Return what the server and its extras are declared to need on Linux."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *(each for name in EXTRAS for each in extras[name])]
    return [each for each in needed if "sys_platform != 'linux'" not in each]


def wheels(python: str, platforms: tuple[str, ...] = PLATFORMS) -> dict[str, str]:
    """Return the platform of each wheel, by name and version. Raises SystemExit without one."""
    with tempfile.TemporaryDirectory() as target:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--report", "-"]
        command += [*options(python, platforms), "--target", target]
        done = subprocess.run(  # noqa: S603 - ours
            [*command, *requirements()], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(f"Python {python}: {done.stderr.strip()}")
    report = json.loads(done.stdout)["install"]
    return {
        f"{each['metadata']['name']} {each['metadata']['version']}": tag(
            each["download_info"]["url"]
        )
        for each in report
    }


def options(python: str, platforms: tuple[str, ...]) -> list[str]:
    """Return the options by which pip takes wheels of another machine, at the tested versions."""
    return [
        *("--only-binary", ":all:", "--implementation", "cp", "--python-version", python),
        *("--constraint", str(ROOT / "constraints.txt")),
        *(part for platform in platforms for part in ("--platform", platform)),
    ]


def tag(url: str) -> str:
    """Return the platform in the name of a wheel."""
    return url.rpartition("/")[2].removesuffix(".whl").rpartition("-")[2]


if __name__ == "__main__":
    raise SystemExit(main())
