"""Journalled moves of pictures between classes and into the trash; each can be undone."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from common.strict_json import to_json
from features.file_kinds import is_picture
from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDER = ".trash"
"""Below the root: hidden, so it is no class; on the same disk, so that a move is a rename."""
Action = Literal["keep", "move", "delete"]


@dataclass(frozen=True)
class Step:
    """One action on one picture."""

    number: int
    action: Action
    path: str
    """Path before, below the root."""
    to: str
    """Path after; the same for `keep`."""
    batch: int
    """Steps of one batch are undone together."""
    when: str = ""


class MoveJournal:
    """The journal of the moves below a root."""

    def __init__(self, root: Path) -> None:
        """Read the journal, and complete its last batch if a kill interrupted it."""
        self.root, self.path = root, root / FOLDER / "journal.jsonl"
        self.steps: list[Step] = []
        last: list[Step] = []
        undone = False
        lines = self._lines()
        self._count = len(lines)
        for line in lines:
            undone = "undo" in line
            batch = line["undo"] if undone else line["batch"]
            if not undone:
                self.steps.append(Step(**line))
            last = [step for step in self.steps if step.batch == batch]
            if undone:
                self.steps = [step for step in self.steps if step.batch != batch]
        for step in reversed(last) if undone else last:
            here, there = (step.to, step.path) if undone else (step.path, step.to)
            if (root / here).is_file() and not (root / there).exists():
                _rename(root / here, root / there)

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(self.path, whole)
        return [json.loads(line) for line in data[:whole].splitlines()]

    @property
    def kept(self) -> set[str]:
        """Paths that were reviewed and kept."""
        return {step.path for step in self.steps if step.action == "keep"}

    def apply(self, action: Action, paths: Sequence[str], *, folder: str = "") -> list[Step]:
        """Apply an action to pictures and return the steps.

        folder: target of `move`, below the root. Raises MaterialError before any step when one is
        impossible.
        """
        if action not in {"keep", "move", "delete"}:
            raise MaterialError(f"action {action!r} must be keep, move or delete")
        for path in (*paths, *([folder] if action == "move" else [])):
            self._check(path, is_folder=path == folder and action == "move")
        if missing := [path for path in paths if not (self.root / path).is_file()]:
            raise MaterialError(f"{missing[0]} does not exist any more")
        now, taken = datetime.now(UTC).isoformat(timespec="seconds"), set[str]()
        steps: list[Step] = []
        for path in dict.fromkeys(paths):
            to = {
                "keep": path,
                "move": f"{folder}/{Path(path).name}",
                "delete": f"{FOLDER}/{path}",
            }[action]
            to = path if to == path else self._free(to, taken)
            taken.add(to)
            steps.append(Step(self._count + len(steps), action, path, to, self._count, now))
        self._write([asdict(step) for step in steps])
        for step in steps:
            if step.to != step.path:
                _rename(self.root / step.path, self.root / step.to)
        self.steps += steps
        return steps

    def undo(self) -> list[Step]:
        """Undo the last batch and return its steps, the last one first; empty without a batch.

        Raises MaterialError when another file has the name of a picture.
        """
        if not self.steps:
            return []
        batch = self.steps[-1].batch
        steps = [step for step in reversed(self.steps) if step.batch == batch]
        for step in steps:
            if step.to != step.path and (self.root / step.path).exists():
                raise MaterialError(f"{step.path} exists: move it away before undoing")
            if not (self.root / step.to).is_file():
                raise MaterialError(f"{step.to} does not exist any more")
        self._write([{"undo": batch}])
        for step in steps:
            if step.to != step.path:
                _rename(self.root / step.to, self.root / step.path)
        self.steps = [step for step in self.steps if step.batch != batch]
        return steps

    def _check(self, path: str, *, is_folder: bool) -> None:
        parts = Path(path).parts
        if not parts or Path(path).is_absolute() or any(part.startswith(".") for part in parts):
            raise MaterialError(f"{path!r} is not below {self.root}, or hidden")
        if not (self.root / path).resolve().is_relative_to(self.root.resolve()):
            raise MaterialError(f"{path!r} is outside of {self.root}")
        if not is_folder and not is_picture(self.root / path):
            raise MaterialError(f"{path!r} is not a picture by its name or first bytes")

    def _free(self, path: str, taken: set[str]) -> str:
        """Return the path, with a number if it is taken."""
        stem, suffix = os.path.splitext(path)  # noqa: PTH122 the folder stays in front
        number, free = 1, path
        while free in taken or (self.root / free).exists():
            number += 1
            free = f"{stem}-{number}{suffix}"
        return free

    def _write(self, lines: Sequence[dict[str, Any]]) -> None:
        self.path.parent.mkdir(exist_ok=True)
        with self.path.open("ab") as file:
            file.write("".join(to_json(line) + "\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())
        self._count += len(lines)


def _rename(here: Path, there: Path) -> None:
    there.parent.mkdir(parents=True, exist_ok=True)
    here.rename(there)
