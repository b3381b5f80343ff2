"""Log lines for the eye: time, event, what it is about, and the request or stream it belongs to."""

from __future__ import annotations

import re
import sys
import time
import traceback
from contextlib import suppress
from contextvars import ContextVar

from common.errors import TimbreError

reference: ContextVar[str] = ContextVar("reference", default="-")
"""The request or stream that the running task works for."""
SECRET = re.compile(r"(timbre_[0-9a-f]{12}_)[\w-]+", re.ASCII)
"""An API key, wherever it stands."""


def log(event: str, **details: object) -> None:
    """Write one line to stderr: `12:34:56.789 reference event key=value ...`."""
    now = time.time()
    clock = f"{time.strftime('%H:%M:%S', time.localtime(now))}.{int(now % 1 * 1000):03d}"
    pairs = "".join(f" {key}={_shown(value)}" for key, value in details.items())
    _write(f"{clock} {reference.get()} {event}{pairs}\n")


def trace(error: BaseException) -> None:
    """Write where a fault of ours came from."""
    _write("".join(traceback.format_exception(error)))


def _write(text: str) -> None:
    # A full disk, or a reader of ours that ended, must not end us.
    with suppress(OSError):
        # One write, so that lines of several gateways never mix.
        sys.stderr.write(redact(text))
        sys.stderr.flush()


def redact(text: str) -> str:
    """Return a text without the secrets of keys in it."""
    return SECRET.sub(r"\1...", text)


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    text = str(value)
    return text if text.isprintable() and text and " " not in text else repr(text)


def unexpected(error: Exception) -> TimbreError:
    """Log a fault of ours and return what strangers are told about it."""
    log("fault", error=type(error).__name__)
    trace(error)
    return TimbreError(f"a fault in the server; its log has it under {reference.get()}")
