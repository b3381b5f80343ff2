"""The files that a path stands for: one for each source or time that it names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from common.errors import Unprocessable

CODE = re.compile(r"%[-_0^#]?.|\{source\}")
ANY = ".+"
LETTERS = {"%%": "%", "{source}": ANY} | dict.fromkeys(("%Y", "%G"), r"\d{4}")
LETTERS |= dict.fromkeys(("%m", "%d", "%H", "%M", "%S", "%y", "%I", "%U", "%V", "%W"), r"\d\d")
"""What a code becomes, as a pattern; another may be any letters."""
WRITE_AHEAD = re.compile(r"-(wal|journal)$")


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


def size_of(path: str) -> int:
    """Return the bytes of the SQLite databases that are there, with their write-ahead logs."""
    whole = Path(path).expanduser()
    patterns = [_pattern(part) for part in whole.parts]
    fixed = next(
        (at for at, part in enumerate(whole.parts) if CODE.search(part)), len(patterns) - 1
    )
    return _size(Path(*whole.parts[:fixed]), patterns[fixed:])


def _size(folder: Path, patterns: Sequence[re.Pattern[str]]) -> int:
    """Return the bytes of the files below a folder whose parts fit the patterns."""
    size = 0
    first, *rest = patterns
    # A write-ahead log goes when another program closes the database.
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as found:
        for entry in found:
            name = entry.name if rest else WRITE_AHEAD.sub("", entry.name)
            if first.fullmatch(name):
                with suppress(FileNotFoundError):
                    size += _size(Path(entry.path), rest) if rest else entry.stat().st_size
    return size


def _pattern(part: str) -> re.Pattern[str]:
    """Return what a part of a path stands for, its codes as the letters they may become."""
    texts, codes = CODE.split(part), CODE.findall(part)
    rest = (
        LETTERS.get(code, ANY) + re.escape(text)
        for code, text in zip(codes, texts[1:], strict=True)
    )
    return re.compile(re.escape(texts[0]) + "".join(rest))
