"""Results on disk as JSON lines, appended as they come, so that a killed search resumes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from training.search.splits import SearchError

FILE = "tasks.jsonl"


class Journal:
    """Records by key, appended to FOLDER/tasks.jsonl; without a folder they are only remembered.

    One search writes to a folder at a time. Raises SearchError when the file cannot be read or
    written.
    """

    def __init__(self, folder: Path | None) -> None:
        self.records: dict[str, dict[str, Any]] = {}
        self._path = folder / FILE if folder else None
        if self._path:
            try:
                self._read(self._path)
            except OSError as error:
                raise SearchError(
                    f"{self._path} cannot be read: {error.strerror}; give another folder"
                ) from error

    def _read(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_bytes() if path.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            # The end of a line that a kill or a full disk cut short: the next line must not begin
            # there.
            os.truncate(path, len(whole))
        for number, line in enumerate(whole.splitlines(), 1):
            try:
                record = json.loads(line)
                self.records[record.pop("key")] = record
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise SearchError(
                    f"{path}, line {number} is not a search result: remove it, or the file"
                ) from error

    def add(self, key: str, record: dict[str, Any]) -> None:
        """Remember a record, on disk before this returns."""
        self.records[key] = record
        if not self._path:
            return
        line = json.dumps({"key": key, **record}, default=repr) + "\n"
        try:
            with self._path.open("ab") as file:
                file.write(line.encode())
        except OSError as error:
            raise SearchError(
                f"{self._path} cannot be written: {error.strerror}; "
                f"finished results are kept, make room and run again"
            ) from error
