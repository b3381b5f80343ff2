"""Text of others on a terminal or in a log: its control characters are shown, not obeyed.

File names, messages of servers and what Redis holds may move the cursor, set the title, forge a
line or turn the reading direction.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

BIDI = "\u202a-\u202e\u2066-\u2069"
"""Embeddings, overrides and isolates of the reading direction."""
LINES = "\u2028\u2029"
SURROGATES = "\ud800-\udfff"
"""Bytes of a file name that are no text; they cannot be written either."""
CONTROLS = re.compile(rf"[\x00-\x1f\x7f-\x9f{LINES}{BIDI}{SURROGATES}]")
CONTROLS_IN_LINES = re.compile(rf"[\x00-\x08\x0b-\x1f\x7f-\x9f{LINES}{BIDI}{SURROGATES}]")
"""All but tabs and ends of lines."""


def escape(text: object) -> str:
    r"""Return text on one line, its control characters as JSON writes them: `\u001b`."""
    return CONTROLS.sub(_shown, str(text))


def escape_lines(text: str) -> str:
    """Return text of several lines, escaped in the same way but for tabs and ends of lines."""
    return CONTROLS_IN_LINES.sub(_shown, text)


def say(text: object, *, error: bool = False) -> None:
    """Print one line to stdout, or stderr for an error, escaped."""
    print(escape(text), file=sys.stderr if error else sys.stdout)


class EscapingStream:
    """A text stream that escapes what is written to it."""

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw
        """Where it goes."""

    def write(self, text: str) -> int:
        """Write text of one or more lines."""
        self.raw.write(escape_lines(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write text in parts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


@contextmanager
def escaped_output() -> Iterator[None]:
    """Escape all that is printed while the block runs."""
    names = ("stdout", "stderr")
    wrapped = {name: EscapingStream(stream) for name in names if (stream := getattr(sys, name))}
    for name, stream in wrapped.items():
        setattr(sys, name, cast("TextIO", stream))
    try:
        yield
    finally:
        for name, stream in wrapped.items():
            # Whoever has replaced it since knows better.
            if getattr(sys, name) is stream:
                setattr(sys, name, stream.raw)


def _shown(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
