"""Log lines: time, request or stream, event, details."""

from __future__ import annotations

import re
import sys
import time
import traceback
from contextlib import suppress
from contextvars import ContextVar

from common.errors import TimbreError
from common.terminal import escape, escape_lines

reference: ContextVar[str] = ContextVar("reference", default="-")
"""Id of the request or stream of the current task."""
SECRET = re.compile(r"(timbre_[0-9a-f]{12}_)[\w-]+", re.ASCII)
"""An API key anywhere in a text."""


def log(event: str, **details: object) -> None:
    """Write one line to stderr: `12:34:56.789 reference event key=value ...`."""
    now = time.time()
    clock = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
    pairs = "".join(f" {key}={_shown(value)}" for key, value in details.items())
    _write(f"{clock} {reference.get()} {escape(event)}{pairs}\n")


def trace(error: BaseException) -> None:
    """Write the traceback of an internal error."""
    _write("".join(traceback.format_exception(error)))


def _write(text: str) -> None:
    # A full disk or a closed pipe must not end the process.
    with suppress(OSError):
        # One write, so that lines of several gateways never mix.
        sys.stderr.write(escape_lines(redact(text)))
        sys.stderr.flush()


def redact(text: str) -> str:
    """Return a text with the secret part of API keys removed."""
    return SECRET.sub(r"\1...", text)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return text if text.isprintable() and text and " " not in text else repr(text)


def unexpected(error: Exception) -> TimbreError:
    """Log an internal error and return the error that clients may see."""
    log("fault", error=type(error).__name__)
    trace(error)
    return TimbreError(f"a fault in the server; its log has it under {reference.get()}")
