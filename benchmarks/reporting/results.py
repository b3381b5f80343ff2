"""The file of a benchmark's results: what was measured, where, with which settings."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import measure
from common.atomic import write_atomic
from common.errors import InputError
from common.strict_json import to_json

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "benchmarks" / "results"
PRINTED = "-"
"""In the place of a file: the results are printed."""
FOLDERS = re.compile(r"(?:(?<=file://)|(?<![\w./:]))/(?:[^/\s=:'\"]+/)*(?=[^/\s])")
"""All but the last part of an absolute path."""
KEYS = ("what", "model", "name", "rows", "trees", "clients")
"""Fields of a row that say what was measured; the others are measurements."""
MODELS = "models"
"""A field of what is no file of results, but the manifests of models."""
COPIED = "copied"
"""A field of results that no program wrote: of what they are a copy, as measured before."""
FIELDS = ("benchmark", "command", "date", "machine", "versions", "settings", "rows", "missed")
PACKAGES = (
    *("timbre", "numpy", "scipy", "onnxruntime", "numba", "llvmlite", "soxr", "aiohttp"),
    *("librosa", "scikit-learn", "skl2onnx", "lightgbm", "optuna", "redis", "Pillow"),
)


def document(
    benchmark: str,
    *,
    command: str,
    settings: dict[str, Any],
    rows: list[dict[str, Any]],
    missed: Iterable[str] = (),
    machine: dict[str, Any] | None = None,
    **more: Any,
) -> dict[str, Any]:
    """Return the results, ready for JSON. machine: as it was before; more: other figures."""
    now = measure.machine()
    return {
        "benchmark": benchmark,
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {**(machine or now), "load_after": now["load"]},
        "versions": versions(),
        "settings": settings,
        "rows": rows,
        "missed": list(missed),
        **more,
    }


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Return the versions of packages that are installed, by name."""
    found = {}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add --json, with or without a file."""
    parser.add_argument(
        "--json",
        nargs="?",
        const=PRINTED,
        metavar="FILE",
        help="write the results to a file; without one, print them instead of a table",
    )


def check_option(parser: argparse.ArgumentParser, given: str | None) -> None:
    """End with wrong usage if the file of --json cannot be written: a run takes minutes."""
    if given not in {None, PRINTED} and not Path(given or "").parent.is_dir():
        parser.error(f"--json: no folder {Path(given or '').parent}")


def without_json(argv: Sequence[str]) -> list[str]:
    """Return a command line without --json and its file: where the results go changes none."""
    kept = [word for word in argv if not word.startswith("--json=")]
    if "--json" in kept:
        at = kept.index("--json")
        following = kept[at + 1 : at + 2]
        takes = bool(following) and (following == [PRINTED] or not following[0].startswith("-"))
        del kept[at : at + 1 + takes]
    return kept


def command_of(program: str, argv: Sequence[str], names: Mapping[str, str]) -> str:
    """Return a command line without --json, paths of this machine under the names given.

    Of another absolute path, wherever it stands in a word, only the last part is left.
    """
    known = {os.path.normpath(path): name for path, name in names.items()}

    def told(word: str) -> str:
        option, equals, path = word.partition("=") if word.startswith("--") else ("", "", word)
        found = known.get(os.path.normpath(path), path)
        return option + equals + FOLDERS.sub("", found)

    return shlex.join([*program.split(), *map(told, without_json(argv))])


def publish(given: str | None, report: dict[str, Any]) -> bool:
    """Write or print the results as --json asks for; return whether they were printed."""
    if given == PRINTED:
        print(to_json(report))
    elif given:
        write(Path(given), report)
    return given == PRINTED


def write(path: Path, report: dict[str, Any]) -> None:
    """Write the results."""
    write_atomic(path, to_json(rounded(report), indent=1) + "\n")


def rounded(value: Any) -> Any:
    """Return the value with floats of five digits: no clock has more to say.

    Paths in the words of others begin at the repository, for that of this machine is nobody's.
    """
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, str):
        return value.replace(f"{ROOT}/", "")
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list) else value


def read(path: Path) -> dict[str, Any]:
    """Return the results in a file. Raises InputError if it is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no results of a benchmark: it is not an object")
    lacking = [name for name in FIELDS if name not in found]
    if lacking:
        raise InputError(f"{path} holds no results of a benchmark: it has no {lacking[0]!r}")
    kinds = {"machine": dict, "settings": dict, "rows": list}
    for name, kind in kinds.items():
        if not isinstance(found[name], kind):
            raise InputError(f"{path} holds no results of a benchmark: {name!r} is no {kind}")
    if not all(isinstance(row, dict) for row in found["rows"]):
        raise InputError(f"{path} holds no results of a benchmark: a row is not an object")
    return found


def read_folder(folder: Path = FOLDER) -> dict[str, dict[str, Any]]:
    """Return the results of all files of a folder by benchmark, sorted. Raises InputError."""
    return {path.stem: read(path) for path in sorted(folder.glob("*.json"))}


def key_of(row: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Return what a row measures."""
    return tuple((name, row[name]) for name in KEYS if name in row)


def name_of(row: Mapping[str, Any]) -> str:
    """Return what a row measures, for a person."""
    parts = sorted(key_of(row), key=lambda part: part[0] != "name")
    return ", ".join(
        f"{value:,} {name if value != 1 else name[:-1]}" if isinstance(value, int) else str(value)
        for name, value in parts
    )


def is_base(row: Mapping[str, Any]) -> bool:
    """Return whether this is the row that the others are compared with."""
    return "ratio" in row and row["ratio"] == row.get("ratio_p25") == row.get("ratio_p75") == 1


def where(report: dict[str, Any]) -> str:
    """Return machine, load, commit and date in a line, and whether the figures were copied.

    Of what manifests tell: the versions of the models.
    """
    if MODELS in report:
        return str(report[MODELS])
    machine = report["machine"]
    parts = [machine.get("processor"), machine.get("instruction_set")]
    parts += [f"{machine['cores']} cores"] if "cores" in machine else []
    if "load_after" in machine:
        parts.append(f"load {machine['load']} before and {machine['load_after']} after")
    elif "load" in machine:
        parts.append(f"load {machine['load']}")
    parts += [f"commit {machine['commit']}", report["date"], report.get(COPIED)]
    return ", ".join(part for part in parts if part)
