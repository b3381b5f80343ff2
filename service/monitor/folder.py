"""A watched folder of recordings: each file is taken once, when it has stopped growing.

What was taken is kept beside the recordings, a line of JSON for each: its key and its name. An
empty name is that of a recording whose records a kill may have kept from some of the sinks.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from common.strict_json import to_json
from features.file_kinds import SOUNDS
from service.monitor.sinks.text_files import append

RECORDED_AT = re.compile(r"(?<!\d)(\d{8})[_T-]?(\d{6})(?!\d)")
"""In names as recorders of animals write them, such as 20260531_063000.WAV: UTC."""


LONG_S = 3_600.0
"""Seconds after which a file that grows is told."""


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
        self._marks = self._read()
        self._interrupted = {key for key, name in self._marks.items() if not name}
        self._unkept: dict[str, str] = {}
        self._marking = threading.Lock()
        self._begun: set[str] = set()
        self._sizes: dict[Path, tuple[int, int]] = {}
        self._growing: dict[Path, float] = {}

    def ready(self, at_s: float = 0.0) -> list[Recording]:
        """Return the files that are as they were at the last call, not taken yet, by name.

        at_s: now, on any clock. Raises OSError when the folder cannot be read.
        """
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder} is no folder")
        now = dict(self._files())
        before, self._sizes = self._sizes, now
        found = [
            Recording(path, *size) for path, size in sorted(now.items()) if before.get(path) == size
        ]
        self._growing = {
            path: self._growing.get(path, at_s)
            for path, size in now.items()
            if before.get(path) != size
        }
        return [
            each
            for each in found
            if each.size and each.key not in self._begun and not self._marks.get(each.key)
        ]

    def growing(self, at_s: float) -> list[Path]:
        """Return the files that grow since an hour or more, each once."""
        found = [path for path, since in self._growing.items() if at_s - since >= LONG_S]
        self._growing.update(dict.fromkeys(found, math.inf))
        return found

    def begun(self, recording: Recording) -> None:
        """Leave a file out of `ready` until the next start, which finds it unless it is taken."""
        self._begun.add(recording.key)

    def begin(self, recording: Recording) -> None:
        """Remember that records of a file go to the sinks. Raises OSError if it cannot be kept."""
        self._mark(recording, "")

    def was_begun(self, recording: Recording) -> bool:
        """Return whether the sinks may have some records of a file, from before a kill."""
        return recording.key in self._interrupted

    def take(self, recording: Recording) -> None:
        """Remember that a file was taken. Raises OSError if that cannot be kept."""
        self._mark(recording, recording.path.name)

    def _mark(self, recording: Recording, name: str) -> None:
        with self._marking:
            self._marks[recording.key] = self._unkept[recording.key] = name
            lines = [to_json({key: each}) + "\n" for key, each in self._unkept.items()]
            append(self._list, "", "".join(lines))
            self._unkept.clear()

    def _files(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        for path in self.folder.rglob("*"):
            if path.suffix.lower() in SOUNDS and not path.name.startswith("."):
                try:
                    stat = path.stat()
                except FileNotFoundError:
                    continue
                yield path, (stat.st_size, stat.st_mtime_ns)

    def _read(self) -> dict[str, str]:
        marks: dict[str, str] = {}
        try:
            lines = self._list.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return {}
        for line in lines:
            # A power cut may have damaged some; those recordings are taken again.
            with suppress(ValueError):
                found = json.loads(line)
                if isinstance(found, dict):
                    marks |= {str(key): str(name) for key, name in found.items()}
        return marks
