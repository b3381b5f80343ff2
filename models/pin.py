"""Which version of a model is served: the newest, unless somebody chose another one."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from common.errors import ArtefactError
from models.manifest import VERSION

FILE = "current.json"
"""Lies beside the versions, so that every process that reads them reads it too."""


@dataclass(frozen=True, kw_only=True)
class Pin:
    """A version that was asked for by its number."""

    version: str
    """The one to serve."""
    newest: str
    """The newest one at that time: only a newer one still ends the choice."""


def read_choice(folder: Path) -> Pin | None:
    """Return the choice made for the model in a folder, None where there is none. Raises ArtefactError for nonsense."""
    try:
        text = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtefactError(f"{FILE} cannot be read: {error.strerror}") from error
    try:
        choice = Pin(**json.loads(text))
        if VERSION.fullmatch(choice.version) and VERSION.fullmatch(choice.newest):
            return choice
    except (TypeError, ValueError, RecursionError):
        pass
    raise ArtefactError(f'{FILE} is not of the form {{"version": "1", "newest": "2"}}')


def write_choice(folder: Path, choice: Pin | None) -> None:
    """Keep a choice, or take it back; a reader never sees half of it. Raises OSError where nothing can be written."""
    if choice is None:
        (folder / FILE).unlink(missing_ok=True)
        return
    handle, draft = tempfile.mkstemp(prefix=".draft-", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(asdict(choice), file)
        Path(draft).chmod(0o644)
        Path(draft).replace(folder / FILE)
    except BaseException:
        with suppress(OSError):
            Path(draft).unlink()
        raise


def in_line(versions: list[str], choice: Pin | None) -> list[str]:
    """Return the versions in the order in which they are tried when nothing is served yet.

    What is newer than all that was there when somebody chose comes first, then the choice, then the
    others.
    """
    ranked = sorted(versions, key=int, reverse=True)
    if choice is None:
        return ranked
    newer = [version for version in ranked if int(version) > int(choice.newest)]
    chosen = [version for version in ranked if version == choice.version and version not in newer]
    return [*newer, *chosen, *(version for version in ranked if version not in {*newer, *chosen})]


def successors(
    versions: list[str], choice: Pin | None, *, current: str, changed: bool
) -> list[str]:
    """Return the versions that should take the place of the current one, the best first.

    changed: somebody chose since the current version was taken. Only then may an older one take
    over: a version whose folder was removed goes on being served.
    """
    if not changed:
        floor = max(int(current), int(choice.newest) if choice else 0)
        return [
            version for version in sorted(versions, key=int, reverse=True) if int(version) > floor
        ]
    line = in_line(versions, choice)
    if choice is not None:
        line = [
            version
            for version in line
            if int(version) > int(choice.newest) or version == choice.version
        ]
    return line[: line.index(current)] if current in line else line
