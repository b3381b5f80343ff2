"""The files that a path stands for: one for each source or time that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from common.errors import Unprocessable

CODE = re.compile(r"%[-_0^#]?.|\{source\}")


def file_of(path: str, *, source: str, at_ms: int) -> Path:
    """Return the file of a source and a time."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC)
    # The name of a source holds no percent sign.
    return Path(moment.strftime(path).format(source=source)).expanduser()


def check_path(path: str) -> None:
    """Raise Unprocessable if a path holds other braces than {source}."""
    try:
        file_of(path, source="a", at_ms=0)
    except (KeyError, IndexError, ValueError) as error:
        raise Unprocessable(f"path={path!r} may hold {{source}}, and no {error}") from None


def files_of(path: str) -> Iterator[Path]:
    """Yield the files that are there, of every source and time; write-ahead logs too."""
    whole = Path(path).expanduser()
    parts = [re.sub(r"\*+", "*", CODE.sub("*", _plain(part))) for part in whole.parts]
    fixed = next((at for at, part in enumerate(whole.parts) if CODE.search(part)), len(parts) - 1)
    root = Path(*whole.parts[:fixed])
    pattern = "/".join(parts[fixed:]).rstrip("*") + "*"
    yield from (found for found in root.glob(pattern) if found.is_file())


def _plain(part: str) -> str:
    """Return a part of a path without what means other letters to glob."""
    return re.sub(r"[\[\]?*]", "?", part)
