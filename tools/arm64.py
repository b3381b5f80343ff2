#!/usr/bin/env python3
"""Run the wheel on an emulated aarch64, and compare features and scores with this processor's.

`make arm64` unpacks Debian's Python for aarch64 and the wheels of `make arm-wheels` into
build/arm64, and runs them by qemu-user, as a Cortex-A72, the processor of a Raspberry Pi 4. It
needs root, for debootstrap. Times and memory are those of the emulator.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import measure
from benchmarks.reporting import results, tables
from tools import arm_wheels, package

ROOT = package.ROOT
FOLDER = ROOT / "build" / "arm64"
SUITE, PYTHON = "bookworm", "3.11"
PACKAGES = (f"python{PYTHON}", f"libpython{PYTHON}-stdlib", "libgomp1")
"""Of Debian; LightGBM's wheel, which tests need, takes the last from the system."""
CPU = "cortex-a72"
NEAR = 2e-6
"""Of features and log-mel bands, relative to their size or to 1."""
CPUINFO = (
    "processor\t: {at}\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: 0xd08\n"
    "CPU revision\t: 3\n\n"
)
"""Of a Raspberry Pi 4; ONNX Runtime crashes on an aarch64 that shows the host's."""
HEADS = {
    "features": "features off by at most",
    "log_mel": "log-mel bands off by at most",
    "ready_s": "s from start to ready",
    "resident_mib": "MiB resident",
}
COMPUTE = (
    "import sys, numpy as np\nfrom features.extract import compute\n"
    "sounds = np.load(sys.argv[1])\n"
    "np.savez(sys.argv[2], **{kind: [compute(sound, kind=kind) for sound in sounds]"
    " for kind in ('features', 'log_mel')})\n"
)


def main(arguments: list[str]) -> int:
    """Set up, compare, show the figures; return the exit code. Raises SystemExit."""
    parser = argparse.ArgumentParser(prog="tools/arm64.py", description=__doc__)
    results.add_option(parser)
    given = parser.parse_args(arguments)
    results.check_option(parser, given.json)
    before = measure.machine()
    root = unpacked(FOLDER / "root")
    packages = installed(package.build(FOLDER / "wheel")[0], FOLDER / "packages")
    python = [emulator(), "-cpu", CPU, "-L", str(root), str(root / "usr/bin" / f"python{PYTHON}")]
    # In /proc nobody can write a file.
    bare = {"PATH": os.defpath, "HOME": "/proc", "PYTHONPATH": str(packages)}
    machine = "import platform, sys; print(platform.machine(), sys.version.split()[0])"
    told = package.output([*python, "-c", machine], bare, FOLDER).strip()
    package.say(f"Python: {told}")
    package.say(package.output([*python, "-m", "features.warm"], bare, FOLDER).strip())
    found = deviations(python, bare)
    for kind, deviation in found.items():
        package.say(f"{kind}: off by {deviation:.1e} at most, bound {NEAR:.0e}")
        if deviation > NEAR:
            return 1
    timbre = [*python, "-m", "service.cli.main"]
    here = package.classified([sys.executable, *timbre[-2:]], dict(os.environ), ROOT)
    package.compare("classify", package.classified(timbre, bare, FOLDER), here)
    with package.served(timbre, bare, FOLDER) as (url, pid, ready_s):
        response = package.posted(f"{url}/v1/models/{package.MODEL}/classify")
        package.compare("serve", response, here)
        memory = package.resident_mib(pid)
    package.say(f"classify and serve: the scores of this processor within {package.NEAR:.0e}")
    report = results.document(
        "arm64",
        command="make arm64",
        settings={"cpu": CPU, "near": NEAR},
        rows=[{"what": f"{CPU}, {told}", **found, "ready_s": ready_s, "resident_mib": memory}],
        machine=before,
        heads=HEADS,
        note="Seconds and memory are with the emulator.",
    )
    tables.publish(given.json, report)
    return 0


def emulator() -> str:
    """Return the path of qemu-user for aarch64. Raises SystemExit without it."""
    for name in ("qemu-aarch64-static", "qemu-aarch64"):
        if path := shutil.which(name):
            return path
    raise SystemExit("qemu-aarch64-static is not installed (Debian: qemu-user-static)")


def unpacked(root: Path) -> Path:
    """Return a folder with Debian's Python for aarch64, of which nothing is set up."""
    needed = [root / "proc/cpuinfo", *(root / "usr/share/doc" / name for name in PACKAGES)]
    if not all(path.exists() for path in needed):
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        include = f"--include={','.join(PACKAGES)}"
        options = ["--foreign", "--arch=arm64", "--variant=minbase", include]
        package.output(["debootstrap", *options, SUITE, str(root)])
        for archive in sorted(root.glob("var/cache/apt/archives/*.deb")):
            package.output(["dpkg-deb", "--extract", str(archive), str(root)])
        cores = "".join(CPUINFO.format(at=at) for at in range(2))
        (root / "proc" / "cpuinfo").write_text(cores, encoding="utf-8")
    return root


def installed(wheel: Path, packages: Path) -> Path:
    """Return a folder with the wheel and all it needs, for aarch64."""
    shutil.rmtree(packages, ignore_errors=True)
    options = [*arm_wheels.options(PYTHON, arm_wheels.PLATFORMS), "--target", str(packages)]
    package.output([sys.executable, "-m", "pip", "install", "--quiet", *options, str(wheel)])
    return packages


def deviations(python: list[str], bare: dict[str, str]) -> dict[str, float]:
    """Return the largest deviation of each kind of tensor from this processor's."""
    with tempfile.TemporaryDirectory() as folder:
        given, here, there = (str(Path(folder, name)) for name in ("s.npy", "a.npz", "b.npz"))
        np.save(given, sounds())
        package.output([sys.executable, "-c", COMPUTE, given, here])
        package.output([*python, "-c", COMPUTE, given, there], bare, FOLDER)
        with np.load(here) as ours, np.load(there) as theirs:
            return {
                kind: float(
                    np.max(np.abs(theirs[kind] - ours[kind]) / np.maximum(1, np.abs(ours[kind])))
                )
                for kind in ours.files
            }


def sounds() -> np.typing.NDArray[np.float32]:
    """Return windows of noise, tones, a click and silence, float32 (8, 44100)."""
    t, noise = np.arange(44_100) / 22_050, np.random.default_rng(0).standard_normal((2, 44_100))
    tone = np.sin(2 * np.pi * 440 * t)
    click = np.zeros(44_100)
    click[20_000] = 1
    chirp = 0.3 * np.sin(2 * np.pi * (220 * t + 400 * t * t)) * np.exp(-t)
    made = [0.1 * noise[0], np.cumsum(noise[1]) / 500, 0 * t, click, 0.5 * tone, np.sign(tone)]
    return np.array([*made, chirp, 0 * t + 0.5], np.float32)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
