"""Reads lists that spreadsheets and editors wrote: encodings, separators, line ends, numbers."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.names import alike, difference, tidy
from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_LINE_END = re.compile(r"\r\n|\r|\n")
_CLOCK = re.compile(r"(?:(\d+):)?([0-5]?\d):([0-5]?\d(?:[.,]\d*)?)")


@dataclass(frozen=True)
class Row:
    """One row of a list."""

    line: int
    """Counted from 1, where the row begins."""
    cells: dict[str, str]
    """By column; "" where the row or the list has none."""
    problem: str = ""
    """Why the row cannot be used."""


def read_text(path: Path, *, encoding: str = "") -> str:
    """Return the text of a file: UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    encoding: that of files in another one, such as cp1252. Raises MaterialError naming the line
    that is in none of these.
    """
    data = path.read_bytes()
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _decoded(path, data[len(mark) :], name)
    text = _decoded(path, data, encoding or _wide(data) or "utf-8")
    if "\0" in text:
        line = len(_LINE_END.findall(text[: text.index("\0")])) + 1
        raise MaterialError(f"{path}, line {line}: has a NUL: it is damaged, or is not text")
    return text


def _wide(data: bytes) -> str:
    """Return the name of UTF-16 without a mark: every other byte of Western text is 0."""
    head = data[:2000]
    if len(data) % 2 or len(head) < 2:
        return ""
    even, odd = (head[first::2].count(0) / (len(head) / 2) for first in (0, 1))
    if odd > 0.4 and even < 0.1:
        return "utf-16-le"
    return "utf-16-be" if even > 0.4 and odd < 0.1 else ""


def _decoded(path: Path, data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
    except LookupError:
        raise MaterialError(f"no encoding {encoding!r}; such as cp1252, mac-roman") from None
    except UnicodeDecodeError as error:
        before = data[: error.start].decode(encoding, "replace")
        line = len(_LINE_END.findall(before)) + 1
        raise MaterialError(
            f"{path}, line {line}: byte 0x{data[error.start]:02x} is not {encoding.upper()}: save "
            "it as UTF-8, or name its encoding (collection.encoding=cp1252, such as Excel's in "
            "Western Europe)"
        ) from error
    if "\ufffd" in text:
        line = len(_LINE_END.findall(text[: text.index("\ufffd")])) + 1
        raise MaterialError(
            f"{path}, line {line}: a letter was lost (U+FFFD) when it was saved in another "
            "encoding: write it again"
        )
    return text


def lines(text: str) -> list[str]:
    """Return the lines of a text; they end with CR LF, LF or CR, and nothing else."""
    found = _LINE_END.split(text)
    return found[:-1] if found and not found[-1] else found


def read_rows(
    path: Path,
    columns: Collection[str],
    *,
    needed: Collection[str],
    aliases: Mapping[str, str] | None = None,
    encoding: str = "",
) -> Iterator[Row]:
    """Yield the rows of a list with a header, separated by commas, semicolons, tabs or bars.

    columns: all there may be; names are compared without case, quotes and blanks. aliases: other
    names of columns. Raises MaterialError naming what was found, where the header lacks a `needed`
    column or has an unknown or a double one.
    """
    text = read_text(path, encoding=encoding)
    # Excel's own first line, which names the separator.
    skipped = 1 if re.match(r"sep=.(\r|\n)", text) else 0
    found = lines(text)[skipped:]
    if not any(line.strip() for line in found):
        raise MaterialError(f"{path} is empty: its first line names the columns {_all(columns)}")
    while not found[0].strip():
        found, skipped = found[1:], skipped + 1
    separator = max(SEPARATORS, key=lambda mark: _fit(found[0], mark, columns, aliases or {}))
    names = _names(found[0], separator, aliases or {})
    _check_header(
        f"{path}, line {skipped + 1} ({found[0][:80]!r}, read as separated by "
        f"{SEPARATORS[separator]})",
        names,
        columns,
        needed,
    )
    reader = csv.reader((line + "\n" for line in found[1:]), delimiter=separator)
    last = 0
    try:
        for cells in reader:
            first, last = last, reader.line_num
            if any(cell.strip() for cell in cells):
                yield _row(first + 2 + skipped, cells, names)
    except csv.Error as error:
        raise MaterialError(f"{path}, line {last + 2 + skipped}: {error}") from error


def _names(head: str, separator: str, aliases: Mapping[str, str]) -> list[str]:
    cells = next(csv.reader([head], delimiter=separator), [])
    names = [tidy(cell).strip("\"'").casefold() for cell in cells]
    while names and not names[-1]:
        names.pop()
    return [aliases.get(name, name) for name in names]


def _fit(head: str, mark: str, columns: Collection[str], aliases: Mapping[str, str]) -> int:
    return sum(name in columns for name in _names(head, mark, aliases))


def _check_header(
    where: str, names: list[str], columns: Collection[str], needed: Collection[str]
) -> None:
    if not set(names) & set(columns):
        raise MaterialError(f"{where}: no header; it names the columns {_all(columns)}")
    if missing := sorted(set(needed) - set(names)):
        raise MaterialError(f"{where}: no column {', '.join(missing)}; columns are {_all(columns)}")
    if unknown := sorted(set(names) - set(columns)):
        raise MaterialError(
            f"{where}: unknown column {', '.join(unknown)}; there is {_all(columns)}"
        )
    if twice := [name for name in names if names.count(name) > 1]:
        raise MaterialError(f"{where}: column {twice[0]} twice")


def _all(columns: Collection[str]) -> str:
    return ", ".join(columns)


def _row(line: int, cells: list[str], names: list[str]) -> Row:
    while len(cells) > len(names) and not cells[-1].strip():
        cells = cells[:-1]
    found = {name: cell.strip() for name, cell in zip(names, cells, strict=False)}
    if len(cells) == len(names):
        return Row(line, found)
    return Row(
        line,
        found,
        f"has {len(cells)} columns, the header {len(names)}: a cell that holds the separator "
        "needs quotes",
    )


def number(text: str) -> float:
    """Return a number with a decimal point or comma, or a time such as 0:01:02.5, in seconds.

    Raises ValueError with a reason.
    """
    plain = text.strip().strip("\"'").strip().replace("\u2212", "-")
    if clock := _CLOCK.fullmatch(plain):
        hours, minutes, seconds = clock.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
    if not re.fullmatch(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?", plain):
        raise ValueError(f"{text!r} is not a number of seconds")
    value = float(plain.replace(",", "."))
    if abs(value) == float("inf"):
        raise ValueError(f"{text!r} is not a number of seconds")
    return value


def check_alike(names: Collection[str]) -> None:
    """Raise MaterialError for two names of which readers would not tell one from the other."""
    known: dict[str, str] = {}
    for name in sorted(names):
        other = known.setdefault(alike(name), name)
        if other != name:
            raise MaterialError(f"labels {difference(other, name)}: give them one name")
