#!/usr/bin/env python3
"""Run tests on the emulated aarch64 of `arm64.py`, each process of theirs too.

`make arm64` runs the fast tests of `FOLDERS`; TESTS names others, or what else pytest takes; --json
writes counts by folder to a file of results. They
run on a copy of the repository, with the folder that `arm64.py` has unpacked as their root. Linux
starts the emulator for every program of that processor (binfmt_misc). All of that is set up in
namespaces which end with the tests: nothing of the machine changes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import measure
from benchmarks.reporting import results, tables
from tools import arm64, arm_wheels, package

FOLDERS = (
    "tests/common", "tests/features", "tests/models", "tests/service/streaming",
    "tests/service/inference", "tests/service/queue", "tests/service/client",
    "tests/service/monitor",
)  # fmt: skip
"""All that a window passes from bytes to scores, and what stands on both ends of it."""
NEEDED = frozenset({
    "hypothesis", "joblib", "librosa", "lightgbm", "onnx", "prometheus-client", "pytest",
    "pytest-asyncio", "pytest-timeout", "scikit-learn",
})  # fmt: skip
"""Of what is declared for training and development: no torch, browser, linter."""
OF_OLD_PYTHON = "async-timeout==5.0.1"
"""redis needs it before Python 3.11.3; pip looks at the Python by which it is run."""
ENVIRONMENT, REPOSITORY, REPORT = Path("/opt/environment"), Path("/opt/timbre"), Path("/tests.xml")
"""Paths below the root."""
OPTIONS = (
    "--quiet", "--continue-on-collection-errors", "-p", "no:cacheprovider",
    "--basetemp=/tmp/tests", f"--junitxml={REPORT}",
)  # fmt: skip
TIMBRE = """#!{python}
import sys

from service.cli.main import main

sys.exit(main())
"""
HEADS = {"passed": "passed", "failed": "failed", "left_out": "left out", "seconds": "s"}
FILES = {
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
    "etc/cpuinfo": "",
}
MAGIC = r"\x7fELF\x02\x01\x01" + 9 * r"\x00" + r"\x02\x00\xb7\x00"
MASK = 7 * r"\xff" + r"\x00" + 8 * r"\xff" + r"\xfe\xff\xff\xff"
"""Of the header of a program for aarch64, of any system and of either type of program."""
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child")
SCRIPT = """set -e
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
printf %s "$1" > /proc/sys/fs/binfmt_misc/register
[ $# -gt 1 ] || exit 0
cd "$2"
mount --bind proc/cpuinfo etc/cpuinfo
mount -t proc proc proc
mount --bind etc/cpuinfo proc/cpuinfo
mount --rbind /dev dev
mount --rbind /sys sys
shift 2
chroot . /bin/sh -c 'cd "$0" && exec "$@"' "$@"
"""
"""Registers the emulator; then runs a command in a folder of a root, if there are any."""


def main(arguments: list[str]) -> int:
    """Run pytest, show counts; return its exit code. Raises SystemExit.

    arguments: --json FILE, and what pytest takes; without that the tests of FOLDERS.
    """
    parser = argparse.ArgumentParser(prog="tools/arm64_tests.py", description=__doc__)
    results.add_option(parser)
    given, options = parser.parse_known_args(arguments)
    results.check_option(parser, given.json)
    before = measure.machine()
    emulated = [*UNSHARE, "sh", "-c", SCRIPT, "sh", registration(arm64.emulator())]
    if refused := refusal(emulated):
        if options:
            raise SystemExit(refused)
        package.say(f"the fast tests are left out: {refused}")
        return 0
    root = arm64.unpacked(arm64.FOLDER / "root")
    prepare(root, package.build(arm64.FOLDER / "wheel")[0])
    report = below(root, REPORT)
    report.unlink(missing_ok=True)
    pytest = [str(ENVIRONMENT / "bin/python"), "-m", "pytest", *OPTIONS, *(options or FOLDERS)]
    done = subprocess.run(  # noqa: S603 - ours
        [*emulated, str(root), str(REPOSITORY), *pytest], check=False, env=variables()
    )
    if not report.exists():
        raise SystemExit(f"the tests did not come to their end: exit code {done.returncode}")
    found = document(report, options, before)
    tables.publish(given.json, found)
    package.say(found["note"])
    return done.returncode


def refusal(emulated: list[str]) -> str:
    """Return why Linux takes no emulator for a namespace; empty where it does."""
    done = subprocess.run(  # noqa: S603 - ours
        emulated, capture_output=True, text=True, check=False
    )
    if not done.returncode:
        return ""
    return (
        "the tests need Linux 6.7 or later, and leave to make user namespaces and to mount"
        f" binfmt_misc in them: {done.stderr.strip()}"
    )


def registration(emulator: str) -> str:
    """Return the line by which Linux learns what runs programs for aarch64, from any root."""
    return f":timbre-aarch64:M::{MAGIC}:{MASK}:{emulator}:F"


def variables() -> dict[str, str]:
    """Return the environment: none of this machine's."""
    path = f"{ENVIRONMENT}/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", "QEMU_CPU": arm64.CPU}


def prepare(root: Path, wheel: Path) -> None:
    """Install the wheel and what tests need, below the root; copy the repository there."""
    environment, repository = below(root, ENVIRONMENT), below(root, REPOSITORY)
    for folder in (environment, repository):
        shutil.rmtree(folder, ignore_errors=True)
    (environment / "bin").mkdir(parents=True)
    (environment / "bin/python").symlink_to(f"/usr/bin/python{arm64.PYTHON}")
    (environment / "pyvenv.cfg").write_text("home = /usr/bin\n", encoding="utf-8")
    program = environment / "bin/timbre"
    program.write_text(TIMBRE.format(python=ENVIRONMENT / "bin/python"), encoding="utf-8")
    program.chmod(0o755)
    target = environment / "lib" / f"python{arm64.PYTHON}" / "site-packages"
    options = [*arm_wheels.options(arm64.PYTHON, arm_wheels.PLATFORMS), "--target", str(target)]
    what = [str(wheel), *arm_wheels.requirements(), *requirements(), OF_OLD_PYTHON]
    package.output([sys.executable, "-m", "pip", "install", "--quiet", *options, *what])
    package.copy_repository(repository)
    for name, text in FILES.items():
        (root / name).write_text(text, encoding="utf-8")


def requirements() -> list[str]:
    """Return what the tests need beside the server, as it is declared."""
    text = (package.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    declared = [*extras["dev"], *extras["train"]]
    return [each for each in declared if re.split("[<=>]", each)[0] in NEEDED]


def below(root: Path, path: Path) -> Path:
    """Return where a path below the root lies on this machine."""
    return root / path.relative_to("/")


def document(report: Path, options: list[str], before: dict[str, Any]) -> dict[str, Any]:
    """Return the results: a row for each folder of pytest's report, one for all of them.

    before: the machine as it was before the tests.
    """
    rows: dict[str, dict[str, Any]] = {}
    reasons = Counter[str]()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest's
        outcomes = {each.tag: each.get("message", "") for each in case}
        outcome = "passed"
        if outcomes.keys() & {"failure", "error"}:
            outcome = "failed"
        elif "skipped" in outcomes:
            outcome = "left_out"
            reasons[outcomes["skipped"]] += 1
        for what in (folder_of(case.get("classname", "")), "all"):
            row = rows.setdefault(what, {"what": what, **dict.fromkeys(HEADS, 0)})
            row[outcome] += 1
            row["seconds"] += float(case.get("time", "0"))
    why = "; ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
    return results.document(
        "arm64-tests",
        command=" ".join(["make arm64", *([f"TESTS='{' '.join(options)}'"] if options else [])]),
        settings={"cpu": arm64.CPU},
        rows=sorted(rows.values(), key=lambda row: str(row["what"]) == "all"),
        machine=before,
        heads=HEADS,
        note=f"Seconds are with the emulator. Left out: {why or 'none'}.",
    )


def folder_of(module: str) -> str:
    """Return the folder of `FOLDERS` in which a test module lies, or that which is next to it."""
    path = module.replace(".", "/")
    inside = (each for each in FOLDERS if path.startswith(f"{each}/"))
    return next(inside, path.rpartition("/")[0] or path)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
