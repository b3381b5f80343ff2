"""A watched folder of recordings: each file is taken once, when it has stopped growing."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from common.atomic import write_atomic
from common.strict_json import to_json
from features.file_kinds import SOUNDS

RECORDED_AT = re.compile(r"(?<!\d)(\d{8})[_T-]?(\d{6})(?!\d)")
"""In names as recorders of animals write them, such as 20260531_063000.WAV: UTC."""


class Recording(NamedTuple):
    """A file to take."""

    path: Path
    size: int
    mtime_ns: int

    @property
    def key(self) -> str:
        """The same for the same file, and for no other."""
        text = f"{self.path.name}:{self.size}:{self.mtime_ns}"
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def begin(self, seconds: float) -> float:
        """Return when it began: by its name, else by when it was last written and its length."""
        if found := RECORDED_AT.search(self.path.name):
            try:
                moment = datetime.strptime("".join(found.groups()), "%Y%m%d%H%M%S")  # noqa: DTZ007
                return moment.replace(tzinfo=UTC).timestamp()
            except ValueError:
                pass
        return self.mtime_ns / 1e9 - seconds


class WatchedFolder:
    """Which files of a folder are still to be taken. What was taken is kept beside them."""

    def __init__(self, folder: Path, *, name: str) -> None:
        """name: of the source; each has its own list, in the hidden file .timbre-NAME.json."""
        self.folder = folder
        self._list = folder / f".timbre-{name}.json"
        self._taken = self._read()
        self._begun: set[str] = set()
        self._sizes: dict[Path, tuple[int, int]] = {}

    def ready(self) -> list[Recording]:
        """Return the files that are as they were at the last call, not taken yet, by name.

        Raises OSError when the folder cannot be read.
        """
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder} is no folder")
        now = dict(self._files())
        before, self._sizes = self._sizes, now
        found = [
            Recording(path, *size) for path, size in sorted(now.items()) if before.get(path) == size
        ]
        done = self._taken.keys() | self._begun
        return [each for each in found if each.key not in done and each.size]

    def begun(self, recording: Recording) -> None:
        """Leave a file out of `ready` until the next start, which finds it unless it is taken."""
        self._begun.add(recording.key)

    def take(self, recording: Recording) -> None:
        """Remember that a file was taken. Raises OSError if that cannot be kept."""
        self._taken[recording.key] = recording.path.name
        write_atomic(self._list, to_json(self._taken))

    def _files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        for path in self.folder.rglob("*"):
            if path.suffix.lower() in SOUNDS and not path.name.startswith("."):
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue
                yield path, (stat.st_size, stat.st_mtime_ns)

    def _read(self) -> dict[str, str]:
        try:
            taken = json.loads(self._list.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return (
            {str(key): str(name) for key, name in taken.items()} if isinstance(taken, dict) else {}
        )
