"""Results of files as text that other programs read: JSON, CSV, Audacity, Raven. Pure.

The columns are an interface: VERSION counts their changes, and PROTOCOL.md lists them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from common.strict_json import to_json
from common.terminal import escape

VERSION = 1
MEDIA_TYPES = {
    "json": "application/json",
    "jsonl": "application/x-ndjson",
    "csv": "text/csv",
    "audacity": "text/plain",
    "raven": "text/tab-separated-values",
}
"""By format."""
OF_EVENTS = ("jsonl", "audacity", "raven")
"""Formats that have nothing but events."""
WINDOW_COLUMNS = ("path", "start", "end", "rank", "label", "score", "error", "warnings")
EVENT_COLUMNS = ("path", "start", "end", "label", "peak", "mean", "version", "error")
RAVEN_COLUMNS = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"),
    *("Low Freq (Hz)", "High Freq (Hz)", "Begin Path", "File Offset (s)"),
    *("Label", "Peak Score", "Mean Score"),
)
"""Raven opens a table by the first seven, and a sequence of files by the next two."""

Result = Mapping[str, Any]


class Export:
    """The text of one table, file by file."""

    def __init__(self, form: str, *, events: bool, highest_hz: float = 0.0) -> None:
        """form: a key of MEDIA_TYPES. events: whether a CSV is of events, not of windows.

        highest_hz: upper edge of what the model hears, for Raven.
        """
        self._form, self._highest_hz = form, highest_hz
        self._events = events or form in OF_EVENTS
        self._offset = 0.0
        self._count = 0

    def begin(self) -> str:
        """Return what stands before the first file."""
        if self._form == "raven":
            return _tabs([RAVEN_COLUMNS])
        if self._form == "csv":
            return _csv([EVENT_COLUMNS if self._events else WINDOW_COLUMNS])
        return ""

    def result(self, path: str, found: Result) -> str:
        """Return the lines of a file, in the order of time."""
        match self._form:
            case "json":
                return _json({"path": path, **found})
            case "jsonl":
                version = {"model": found["model"], "version": found["version"]}
                return "".join(
                    _json({"path": path, **event, **version}) for event in found["events"]
                )
            case "csv" if self._events:
                return _csv(_event_rows(path, found))
            case "csv":
                return _csv(_window_rows(path, found))
            case "audacity":
                return _tabs(_label(event) for event in found["events"])
        return _tabs(self._selections(path, found))

    def error(self, path: str, error: Exception) -> str:
        """Return the line of a file that has no result, if the format has one."""
        if self._form in ("json", "jsonl"):
            return _json({"path": path, "error": str(error)})
        if self._form == "csv":
            columns = EVENT_COLUMNS if self._events else WINDOW_COLUMNS
            row = {"path": escape(path), "error": escape(error)}
            return _csv([[row.get(column, "") for column in columns]])
        return ""

    def _selections(self, path: str, found: Result) -> Iterator[Sequence[Any]]:
        """Yield the rows of Raven; its times run over the sequence of files."""
        for event in found["events"]:
            self._count += 1
            times = [self._offset + event["start"], self._offset + event["end"]]
            yield [
                *(self._count, "Spectrogram 1", 1, *map(_seconds, times)),
                *("0.0", f"{self._highest_hz:.1f}", path, _seconds(event["start"])),
                *(event["label"], event["peak"], event["mean"]),
            ]
        self._offset += max((window["end"] for window in found["windows"]), default=0.0)


def _event_rows(path: str, found: Result) -> Iterator[Sequence[Any]]:
    for event in found["events"]:
        times = (_seconds(event["start"]), _seconds(event["end"]))
        scores = (event["peak"], event["mean"])
        yield [escape(path), *times, event["label"], *scores, found["version"], ""]


def _window_rows(path: str, found: Result) -> Iterator[Sequence[Any]]:
    kinds = "; ".join(each["kind"] for each in found.get("warnings", ()))
    windows = found.get("windows") or [
        {"scores": {each["label"]: each["score"] for each in found["predictions"]}}
    ]
    for window in windows:
        times = [window.get("start", ""), window.get("end", "")]
        for rank, (label, score) in enumerate(window["scores"].items(), start=1):
            yield [escape(path), *times, rank, label, score, "", kinds]


def _label(event: Result) -> Sequence[Any]:
    return [_seconds(event["start"]), _seconds(event["end"]), event["label"]]


def _seconds(value: float) -> str:
    return f"{value:.6f}"


def _json(value: Any) -> str:
    return to_json(value) + "\n"


def _csv(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _tabs(rows: Iterable[Sequence[Any]]) -> str:
    """Return rows without quotes: a tab or end of a line within a cell is escaped."""
    return "".join("\t".join(map(escape, row)) + "\n" for row in rows)
