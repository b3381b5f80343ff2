#!/usr/bin/env python3
"""Build the wheel and the source archive, and try the wheel where nothing else is.

`make package` writes both to build/package. Then, for each Python, the wheel is installed into an
environment of its own, and runs without make and git, where no file can be written: the commands
classify and serve must give the scores of this repository. What was installed is written to
build/package as well, as a bill of materials (`sbom.py`). `make wheel` builds only. `make package
JSON=benchmarks/results/package.json` writes the figures as well.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import measure
from benchmarks.reporting import results, tables

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "build" / "package"
SOUND = ROOT / "examples" / "quartet.ogg"
MODEL = "instruments-forest"
VERSIONS = ("3.11", "3.12", "3.13")
HEADS = {
    "what": "",
    "installed_mib": "MiB installed",
    "ready_s": "s from start to ready",
    "resident_mib": "MiB resident",
}
LARGEST = 6
OWN = ("common", "features", "models", "service", "training", "benchmarks")
NOT_NEEDED = {"llvmlite", "numba", "scipy"}
MAX_MIB = 250
"""Installed for the server and the microphone, without pip, as pipx does it."""
NEAR = 1e-4
"""Between the scores of two processors; of one they are equal."""
READY_S, SETTLE_S = 300.0, 7.0
"""Also for an emulated processor; a server returns free memory 5 s after its last request."""


def main(arguments: list[str]) -> int:
    """Build, try each Python, show a table; return the exit code. Raises SystemExit."""
    parser = argparse.ArgumentParser(prog="tools/package.py", description=__doc__)
    parser.add_argument("pythons", nargs="*", metavar="PYTHON", help="those to try (all found)")
    parser.add_argument("--wheel", action="store_true", help="build only")
    results.add_option(parser)
    given = parser.parse_args(arguments)
    results.check_option(parser, given.json)
    before = measure.machine()
    wheel, source = build(OUT)
    sizes = f"{source.name} {size_mib(source):.1f} MiB, {wheel.name} {size_mib(wheel):.1f} MiB"
    say(sizes)
    if given.wheel:
        return 0
    expected = classified([sys.executable, "-m", "service.cli.main"], dict(os.environ), ROOT)
    rows, parts = [], {}
    for python in given.pythons or installed():
        with tempfile.TemporaryDirectory() as folder:
            row, parts = tried(python, wheel, Path(folder), expected)
            rows.append(row)
    report = results.document(
        "package",
        command="make package",
        settings={"model": MODEL, "settle_s": SETTLE_S},
        rows=rows,
        machine=before,
        heads=HEADS,
        note=f"{sizes}. {largest(parts)}",
    )
    tables.publish(given.json, report)
    return 0


def largest(parts: dict[str, float]) -> str:
    """Return the largest parts of an environment in a sentence."""
    first = sorted(parts, key=lambda name: -parts[name])[:LARGEST]
    listed = ", ".join(f"{name} {parts[name]:.0f}" for name in first)
    return f"The largest parts of the last, in MiB: {listed}."


def parts_of(packages: Path) -> dict[str, float]:
    """Return what each package takes, its libraries included, by the name of its folder."""
    found: dict[str, float] = {}
    for path in packages.iterdir():
        if not path.name.endswith(".dist-info"):
            name = path.name.removesuffix(".libs").removesuffix("_libs").lower()
            name = {"pil": "pillow"}.get(name, name)
            found[name] = found.get(name, 0.0) + size_mib(path)
    # Timbre is several packages.
    ours = [found.pop(name) for name in OWN if name in found]
    return {**found, "Timbre": sum(ours)}


def build(out: Path) -> tuple[Path, Path]:
    """Return the wheel, made from the source archive, and that."""
    for old in (*out.glob("*.whl"), *out.glob("*.tar.gz")):
        old.unlink()
    with tempfile.TemporaryDirectory() as folder:
        copy_repository(Path(folder))
        output([sys.executable, "-m", "build", "--outdir", str(out), folder])
    return next(out.glob("*.whl")), next(out.glob("*.tar.gz"))


def copy_repository(folder: Path) -> None:
    """Copy the files of the repository, and none that an older build has left beside them."""
    listed = output(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (target := folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)


def tried(
    python: str, wheel: Path, folder: Path, expected: dict[str, float]
) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the row of a Python, and the MiB of each package. Raises SystemExit if it fails."""
    environment = folder / "environment"
    install(python, f"{wheel}[mic]", environment)
    write_bill(environment, wheel)
    before, mib = files(environment), size_mib(environment)
    if mib > MAX_MIB:
        raise SystemExit(f"{python}: {mib:.0f} MiB are installed, at most {MAX_MIB}")
    # In /proc nobody can write a file, not even root.
    bare = {"PATH": str(environment / "bin"), "HOME": "/proc", "LANG": "C.UTF-8"}
    timbre = [str(environment / "bin" / "timbre")]
    compare(f"{python}, classify", classified(timbre, bare, folder), expected)
    with served(timbre, bare, folder) as (url, pid, ready_s):
        compare(f"{python}, serve", posted(f"{url}/v1/models/{MODEL}/classify"), expected)
        time.sleep(SETTLE_S)
        resident = resident_mib(pid)
    kernels = output([str(environment / "bin" / "python"), "-m", "features.warm"], bare, folder)
    if added := files(environment) - before:
        raise SystemExit(f"{python}: these files were written: {sorted(added)}")
    version = output([python, "-V"]).split()[1]
    (packages,) = environment.glob("lib/python3*/site-packages")
    row = {
        "what": f"Python {version}",
        "installed_mib": mib,
        "ready_s": ready_s,
        "resident_mib": resident,
        "kernels": Path(kernels).stem,
    }
    return row, parts_of(packages)


def install(python: str, what: str, environment: Path) -> None:
    """Install the wheel into a new environment. Raises SystemExit, also where it needs numba."""
    output([python, "-m", "venv", "--without-pip", str(environment)])
    pip = [python, "-m", "pip", "--python", str(environment / "bin" / "python")]
    output([*pip, "install", "--quiet", "--constraint", str(ROOT / "constraints.txt"), what])
    names = {path.name for path in environment.glob("lib/python3*/site-packages/*")}
    if needless := names & NOT_NEEDED:
        raise SystemExit(f"{python}: installed {', '.join(needless)}")


def write_bill(environment: Path, wheel: Path) -> None:
    """Write what an environment holds beside the wheel, as CycloneDX."""
    (packages,) = environment.glob("lib/python3*/site-packages")
    found = output([sys.executable, str(ROOT / "tools" / "sbom.py"), str(packages)])
    version = wheel.name.split("-")[1]
    (wheel.parent / f"timbre-{version}.cdx.json").write_text(found, encoding="utf-8")


def classified(timbre: list[str], environment: dict[str, str], folder: Path) -> dict[str, float]:
    """Return the scores that `timbre classify` gives the last window of the sound."""
    command = [*timbre, "classify", str(SOUND), "--model", MODEL, "--json"]
    return scores(json.loads(output(command, environment, folder)))


@contextmanager
def served(
    timbre: list[str], environment: dict[str, str], folder: Path
) -> Iterator[tuple[str, int, float]]:
    """Run a server of one model; give its address, process, and seconds until it was ready."""
    begin, log = time.monotonic(), folder / "log"
    command = [*timbre, "serve", "--port", "0", "--set", f"models={MODEL}"]
    with (
        log.open("w") as sink,
        subprocess.Popen(  # noqa: S603 - ours
            command, cwd=folder, env=environment, stdout=sink, stderr=sink
        ) as server,
    ):
        try:
            while not (url := address(log)):
                if server.poll() is not None or time.monotonic() - begin > READY_S:
                    raise SystemExit(f"the server did not get ready: {log.read_text()}")
                time.sleep(0.05)
            yield url, server.pid, time.monotonic() - begin
            server.send_signal(signal.SIGTERM)
            if server.wait(timeout=READY_S):
                raise SystemExit(f"the server ended with an error: {log.read_text()}")
        finally:
            server.kill()


def address(log: Path) -> str | None:
    """Return the address that a server has logged once it was ready; None before."""
    for line in log.read_text().splitlines():
        if " ready " in line:
            return next(word[4:] for word in line.split() if word.startswith("url="))
    return None


def posted(url: str) -> dict[str, float]:
    """Return the scores in the response to the sound."""
    with urllib.request.urlopen(url, SOUND.read_bytes()) as response:  # noqa: S310 - ours
        return scores(json.load(response))


def scores(response: Any) -> dict[str, float]:
    """Return the scores of the last window."""
    found: dict[str, float] = response["windows"][-1]["scores"]
    return found


def compare(what: str, found: dict[str, float], expected: dict[str, float]) -> None:
    """Raise SystemExit where labels or scores differ."""
    if found.keys() != expected.keys() or any(
        abs(found[label] - expected[label]) > NEAR for label in found
    ):
        raise SystemExit(f"{what}: the scores are {found}, not {expected}")


def files(folder: Path) -> set[str]:
    """Return the paths of all that is in a folder."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def size_mib(path: Path) -> float:
    """Return what a file, or all of a folder, takes on disk."""
    paths = [path, *path.rglob("*")] if path.is_dir() else [path]
    return sum(each.lstat().st_blocks for each in paths) * 512 / 2**20


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process; 0 where the system does not tell."""
    path = Path(f"/proc/{pid}/statm")
    pages = int(path.read_text().split()[1]) if path.exists() else 0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def output(
    command: list[str], environment: dict[str, str] | None = None, folder: Path = ROOT
) -> str:
    """Return what a command prints. Raises SystemExit with all it says if it fails."""
    done = subprocess.run(  # noqa: S603 - ours
        command, capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def installed() -> list[str]:
    """Return the Pythons that are found: of pyenv, else on the path."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = []
    for version in VERSIONS:
        of_pyenv = [str(path) for path in sorted(root.glob(f"versions/{version}.*/bin/python"))]
        place = of_pyenv[-1] if of_pyenv else shutil.which(f"python{version}")
        if place:
            found.append(place)
        else:
            say(f"Python {version} is not found, and left out")
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
