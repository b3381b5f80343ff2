"""Log lines of every process: time, request or stream, event, details; as text or as JSON."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, TypeAlias

from common.errors import TimbreError
from common.strict_json import to_json
from common.terminal import escape, escape_lines

reference: ContextVar[str] = ContextVar("reference", default="-")
"""Id of the request or stream of the current task."""
bound: ContextVar[Mapping[str, str]] = ContextVar("bound", default=MappingProxyType({}))
"""Further details of every line of the current task: `stream`, `trace_id`."""
SECRET = re.compile(r"(timbre_[0-9a-f]{12}_)[\w-]+", re.ASCII)
"""An API key anywhere in a text."""
SHORTEST_SECRET = 4
"""Characters of a password that is hidden wherever it stands; a shorter one is hidden in addresses
only, for it may be part of any word."""
_Pattern: TypeAlias = tuple[tuple[str, ...], re.Pattern[str], str]
"""Texts of which each match has one, in lower case; what is hidden; what is shown."""
_NEVER_SHOWN: tuple[_Pattern, ...] = (
    (("timbre_",), SECRET, r"\1..."),
    (("timbre.key.",), re.compile(r"(timbre\.key\.)[^\s,'\"]+"), r"\1..."),
    # User and password of an address.
    (("://",), re.compile(r"://[^/\s]*@"), "://...@"),
)
_NOT_LOGGED: tuple[_Pattern, ...] = (
    # The query of an address.
    (("?",), re.compile(r"\?[^\s=?]{1,64}=[^\s'\"]+"), "?..."),
    (
        ("authorization",),
        re.compile(r"(?i)(\bauthorization\W{1,4}(?:bearer|basic)?\W{0,4})[^\s'\",]+"),
        r"\1...",
    ),
    (("bearer", "basic"), re.compile(r"(?i)\b(bearer|basic) [\w~+/.=-]{8,}"), r"\1 ..."),
    (
        ("password", "passwd", "secret", "token", "key"),
        re.compile(
            r"(?i)((?:password|passwd|secret|token|api[_-]?key)['\"]?\s{0,2}[=:]\s{0,2}['\"]?)"
            r"[^\s'\"&,;]+"
        ),
        r"\1...",
    ),
)
QUIET = {"aiohttp.websocket": logging.ERROR, "numba": logging.WARNING}
"""Loggers that say too much at any level: the subprotocols that a page offers may hold its API
key, and the compiler writes megabytes."""
_as_json = False
_secrets: tuple[str, ...] = ()


def configure(*, as_json: bool, debug: bool, secrets: Iterable[str] = ()) -> None:
    """Set the form of this process's lines; what libraries log and what nobody catches gets it too.

    debug: all that libraries log, not only their warnings. secrets: hidden wherever they stand.
    """
    global _as_json, _secrets  # noqa: PLW0603 - a process has one log
    _as_json = as_json
    _secrets = tuple(
        sorted((each for each in secrets if len(each) >= SHORTEST_SECRET), key=len, reverse=True)
    )
    root = logging.getLogger()
    root.setLevel(logging.DEBUG if debug else logging.WARNING)
    root.handlers[:] = [_LibraryLines()]
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=True)
    sys.excepthook = lambda _, error, __: trace(error)
    threading.excepthook = lambda args: trace(args.exc_value) if args.exc_value else None


def log(event: str, **details: object) -> None:
    """Write one line to stderr: `12:34:56.789 reference event key=value ...`, or a JSON object."""
    given = {**details, **{k: v for k, v in bound.get().items() if k not in details}}
    now = time.time()
    if _as_json:
        _write_json(now, event, given)
        return
    clock = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
    pairs = "".join(f" {key}={_shown(value)}" for key, value in given.items())
    _write(f"{clock} {reference.get()} {escape(event)}{pairs}\n")


class FailureLog:
    """Logs a failure that may last for days: once when it begins, and once when it is over."""

    def __init__(self, begins: str, over: str, **details: object) -> None:
        """begins, over: the two events. details: of both."""
        self._begins, self._over, self._details = begins, over, details
        self._lasts = False

    def failed(self, why: object) -> None:
        """Tell that it has failed, now or again."""
        if not self._lasts:
            log(self._begins, **self._details, why=why)
        self._lasts = True

    def worked(self) -> None:
        """Tell that it has worked."""
        if self._lasts:
            log(self._over, **self._details)
        self._lasts = False


def trace(error: BaseException) -> None:
    """Write the traceback of an internal error."""
    text = "".join(traceback.format_exception(error))
    if _as_json:
        log("traceback", error=type(error).__name__, traceback=text)
    else:
        _write(text)


def _write_json(now: float, event: str, details: Mapping[str, object]) -> None:
    clock = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z"
    id_ = reference.get()
    line: dict[str, Any] = {"time": clock, "pid": os.getpid()}
    line |= {"request": id_} if id_ != "-" else {}
    line |= {"event": event} | {key: _json_value(value) for key, value in details.items()}
    _write(
        to_json({key: _hidden(v) if isinstance(v, str) else v for key, v in line.items()}) + "\n"
    )


def _json_value(value: object) -> str | float | None:
    if isinstance(value, bool | int) or value is None:
        return value
    if isinstance(value, float) and abs(value) < float("inf"):  # NaN fails it too
        return round(value, 6)
    return str(value)


def _write(text: str) -> None:
    # A full disk or a closed pipe must not end the process.
    with suppress(OSError):
        # One write, so that lines of several gateways never mix.
        sys.stderr.write(escape_lines(_hidden(text)))
        sys.stderr.flush()


def redact(text: str) -> str:
    """Return a text without the secret part of API keys, and without users and passwords of URLs.

    For clients, who may see their own queries; the log has none.
    """
    return _without(_NEVER_SHOWN, text)


def _hidden(text: str) -> str:
    """Return a text without anything that a log must not hold."""
    for secret in _secrets:
        text = text.replace(secret, "...")
    return _without(_NOT_LOGGED, redact(text))


def _without(patterns: Iterable[_Pattern], text: str) -> str:
    # Most lines have nothing to hide, and `in` is ten times as fast as these patterns. Beyond ASCII
    # some letters match those within, such as the long s of old prints an s.
    lower, ascii_only = text.lower(), text.isascii()
    for marks, pattern, shown in patterns:
        if not ascii_only or any(mark in lower for mark in marks):
            text = pattern.sub(shown, text)
    return text


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return text if text.isprintable() and text and " " not in text else repr(text)


class _LibraryLines(logging.Handler):
    """Writes what libraries log as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line, and the traceback if there is one."""
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - the mistake is the library's
            message = str(record.msg)
        log("library", logger=record.name, level=record.levelname, message=message)
        if record.exc_info and record.exc_info[1]:
            trace(record.exc_info[1])


def unexpected(error: Exception) -> TimbreError:
    """Log an internal error and return the error that clients may see."""
    log("fault", error=type(error).__name__)
    trace(error)
    return TimbreError(f"a fault in the server; its log has it under {reference.get()}")
