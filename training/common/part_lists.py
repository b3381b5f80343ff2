"""Lists of the files of each part of a split: train.txt, val.txt and test.txt, or one CSV file."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from common.names import part_named, tidy
from training.common.errors import MaterialError
from training.common.given_parts import PARTS
from training.common.text_files import lines, read_rows, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

COLUMNS = ("path", "part", "label", "labels", "source", "group", "start", "end")
ALIASES = {"split": "part", "subset": "part", "set": "part", "file": "path", "filename": "path"}
"""Usual names of the columns."""


def lists_in(folder: Path) -> list[Path]:
    """Return the lists right in a folder if there is one for training and another, else none."""
    if not folder.is_dir():
        return []
    found = [path for path in sorted(folder.glob("*.txt")) if part_named(path.stem)]
    parts = {part_named(path.stem) for path in found}
    return found if "train" in parts and len(parts) > 1 else []


def read_parts(path: Path, *, encoding: str = "") -> dict[str, str]:
    """Return part by path, as a CSV file (path, part) or the lists in a folder have it.

    encoding: as for `read_text`. Raises MaterialError for a file in two parts, an unknown part and
    lists that are not there.
    """
    if path.is_dir():
        found = lists_in(path)
        if not found:
            raise MaterialError(f"{path} holds no train.txt beside val.txt or test.txt")
        entries: Iterable[tuple[str, str, str]] = (
            one for each in found for one in _listed(each, encoding)
        )
    elif path.is_file():
        entries = _rows(path, encoding)
    else:
        raise MaterialError(f"split.given: no file or folder {path}")
    parts: dict[str, str] = {}
    for where, name, part in entries:
        if parts.setdefault(name, part) != part:
            raise MaterialError(f"{where}: {name} is in {parts[name]} and in {part}")
    return parts


def _listed(path: Path, encoding: str) -> Iterable[tuple[str, str, str]]:
    for number, line in enumerate(lines(read_text(path, encoding=encoding)), 1):
        if name := line.strip().strip('"'):
            yield f"{path}, line {number}", _plain(name), part_named(path.stem)


def _rows(path: Path, encoding: str) -> Iterable[tuple[str, str, str]]:
    needed = ("path", "part")
    for row in read_rows(path, COLUMNS, needed=needed, aliases=ALIASES, encoding=encoding):
        where, named = f"{path}, line {row.line}", row.cells.get("part", "")
        part = part_named(named)
        if row.problem:
            raise MaterialError(f"{where}: {row.problem}")
        if not part:
            raise MaterialError(f"{where}: part {named!r} must be one of {', '.join(PARTS)}")
        yield where, _plain(row.cells["path"]), part


def _plain(name: str) -> str:
    plain = tidy(name.replace("\\", "/"))
    while plain.startswith("./"):
        plain = plain[2:]
    return plain


def parts_of(paths: Sequence[str], listed: dict[str, str], *, where: str) -> list[str]:
    """Return the part of each path, "" for those that no list names.

    A list may name the end of a path only, leave out its suffix, or have a number behind it, as
    long as that means one file. Raises MaterialError for a name of none or of several files.
    """
    whole, ends = defaultdict[str, set[int]](set), defaultdict[str, set[int]](set)
    for number, path in enumerate(map(_plain, paths)):
        words = path.split("/")
        for first in range(len(words)):
            for end in _with_and_without_suffix("/".join(words[first:])):
                (ends if first else whole)[end].add(number)
    found = [""] * len(paths)
    for name, part in listed.items():
        at = _one(name, whole, ends, where)
        if found[at] not in ("", part):
            raise MaterialError(f"{where}: {paths[at]} is in {found[at]} and in {part}")
        found[at] = part
    return found


def _with_and_without_suffix(path: str) -> set[str]:
    name = path.rpartition("/")[2]
    return {path, path[: path.rfind(".")]} if "." in name[1:] else {path}


def _one(name: str, whole: dict[str, set[int]], ends: dict[str, set[int]], where: str) -> int:
    """Return the number of the file that a list names."""
    bare, _, number = name.rpartition(" ")
    for one in [name, *([bare] if number.isdecimal() else [])]:
        words = one.split("/")
        # A list may be written from a folder further out, or further in.
        outer = ("/".join(words[first:]) for first in range(len(words)))
        meant = next((whole[end] for end in outer if end in whole), ends.get(one, set()))
        if len(meant) == 1:
            return next(iter(meant))
        if meant:
            raise MaterialError(f"{where}: {name!r} means {len(meant)} files here")
    raise MaterialError(f"{where}: no file {name!r} here")
