"""What is known of one training, from the files in its folder alone.

request.json is written when it is accepted, process.json when it is begun, cancel.json when it is
cancelled, exit.json when it has ended; beside them lie log.txt, progress.jsonl and artefacts/.
"""

from __future__ import annotations

import re
import signal
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from common.errors import TimbreError
from common.mapping import parse_json
from service.trainings.folder import read_object
from service.trainings.process import is_running

State: TypeAlias = Literal["queued", "running", "done", "failed", "cancelled"]
ID = re.compile(r"\d{8}-\d{6}-\d{3}-[0-9a-f]{8}", re.ASCII)
REQUEST, PROCESS, CANCEL, EXIT = "request.json", "process.json", "cancel.json", "exit.json"
LOG, PROGRESS, ARTEFACTS = "log.txt", "progress.jsonl", "artefacts"
LINES, LINE = 50, 500
"""Lines of the log that are shown, and characters of one."""
TAIL = 2**16
"""Bytes at the end of a file that are read for them."""
POINTS = 1_000
"""Points of the curves, the last ones."""
BASELINES = (
    *("accuracy_all_negative", "top1_majority", "majority", "mean_average_precision_constant"),
    *(f"{name}_all_on" for name in ("micro_f1", "macro_f1", "macro_f1_mixture")),
)
"""Metrics of a model without any knowledge."""
CURVES = re.compile(rb"^curves: (.+)\.html\r?$", re.MULTILINE)
KILLED = "its process was killed before it could end"


class Status(NamedTuple):
    """The state of a training, and when and why it changed."""

    state: State
    begun: str | None = None
    ended: str | None = None
    why: str = ""
    """Of a failure."""


def status_of(folder: Path) -> Status:
    """Return the state of a training; one whose files are damaged has failed."""
    try:
        return _status(folder)
    except (TimbreError, KeyError, TypeError, ValueError, OverflowError) as error:
        return Status("failed", why=f"its files are damaged: {error}")


def _status(folder: Path) -> Status:
    process = read_object(folder / PROCESS)
    cancelled = read_object(folder / CANCEL)
    begun = process["begun"] if process else None
    ended = read_object(folder / EXIT)
    if not ended and process and not is_running(process["pid"], process["identity"]):
        # It may have ended between the two looks.
        ended = read_object(folder / EXIT) or {"code": None, "ended": None, "why": KILLED}
    if ended:
        if ended["code"] == 0:
            return Status("done", begun, ended["ended"])
        if cancelled:
            return Status("cancelled", begun, ended["ended"])
        why = ended["why"] or _reason(folder, ended["code"])
        return Status("failed", begun, ended["ended"], why)
    if process:
        return Status("running", begun)
    return Status("cancelled", None, cancelled["time"]) if cancelled else Status("queued")


def describe(folder: Path, *, root: Path, details: bool) -> dict[str, Any]:
    """Return a training as the routes answer it.

    root: the folder of all trainings. details: with the log, the curves and the metrics.
    """
    request = _object(folder / REQUEST)
    status = status_of(folder)
    rows = _rows(folder / PROGRESS)
    stage: dict[str, Any] = next((row for row in reversed(rows) if "stage" in row), {})
    total = stage.get("total") or 0
    found = {
        "id": folder.name,
        "state": status.state,
        "recipe": request.get("recipe"),
        "settings": request.get("settings"),
        "name": request.get("name"),
        "queued": request.get("time"),
        "begun": status.begun,
        "ended": status.ended,
        "stage": stage.get("stage"),
        "progress": 1.0
        if status.state == "done"
        else round(min(1.0, stage["done"] / total), 4)
        if total
        else None,
        "error": status.why or None,
        "result": _result(folder, rows) if status.state == "done" else None,
    }
    if details:
        found |= {"log": tail(folder / LOG), "curves": _curves(folder / LOG, root)}
    return found


def tail(path: Path, lines: int = LINES) -> list[str]:
    """Return the last lines of a log, each shortened."""
    text = _end(path).decode(errors="replace")
    return [line[:LINE] for line in deque(text.splitlines(), lines)]


def report_of(folder: Path) -> Path | None:
    """Return the page of a training's report; None if it has none."""
    names = [row["report"] for row in _rows(folder / PROGRESS) if "report" in row]
    root = (folder / ARTEFACTS).resolve()
    page = (root / str(names[0]) / "report.html").resolve() if names else root
    return page if page.is_file() and page.is_relative_to(root) else None


def artefacts_of(folder: Path) -> list[tuple[str, str]]:
    """Return the names and versions that a training has written."""
    return _artefacts(_rows(folder / PROGRESS))


def _artefacts(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    paths = [str(row["artefact"]) for row in rows if "artefact" in row]
    return [(name, version) for name, _, version in (path.partition("/") for path in paths)]


def _result(folder: Path, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    made = _artefacts(rows)
    if not made:
        return None
    name, version = made[0]
    manifest = _object(folder / ARTEFACTS / name / version / "manifest.json")
    metrics = manifest.get("metrics") or {}
    figures = {
        key: value
        for key, value in (metrics.get("mean") or metrics).items()
        if isinstance(value, float)
    }
    return {
        "name": name,
        "version": version,
        "artefacts": [{"name": name, "version": version} for name, version in made],
        "labels": [label.get("name") for label in manifest.get("labels", [])],
        "report": f"/v1/trainings/{folder.name}/report" if report_of(folder) else None,
        "scores": {key: value for key, value in figures.items() if key not in BASELINES},
        "baseline": {key: value for key, value in figures.items() if key in BASELINES},
    }


def _object(path: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one where there is none, or it is damaged."""
    try:
        return read_object(path) or {}
    except TimbreError:  # status_of tells it
        return {}


def _reason(folder: Path, code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"it was ended by {signal.Signals(-code).name}"
    said = [line for line in tail(folder / LOG) if line.startswith("timbre train: ")]
    return said[-1].removeprefix("timbre train: ") if said else f"it ended with exit code {code}"


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows at the end of a file of JSON Lines; its last line may be incomplete."""
    found = []
    for line in _end(path).splitlines():
        with suppress(TimbreError):
            row = parse_json(line, error=TimbreError)
            found += [row] if isinstance(row, dict) else []
    return found


def _curves(log: Path, root: Path) -> list[dict[str, Any]]:
    """Return the points of the file of curves that a training has named in its log."""
    try:
        named = CURVES.search(log.read_bytes())
    except OSError:  # it has not begun
        return []
    if named is None:
        return []
    path = Path(named[1].decode(errors="replace")).with_suffix(".jsonl").resolve()
    return _rows(path)[-POINTS:] if path.is_relative_to(root) else []


def _end(path: Path) -> bytes:
    """Return the last bytes of a file, from the beginning of a line; none where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - TAIL))
            data = file.read(TAIL)
    except OSError:
        return b""
    return data.partition(b"\n")[2] if size > TAIL else data
