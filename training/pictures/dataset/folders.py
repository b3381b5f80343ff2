"""Pictures in folders: which there are, of what class and source, and what is wrong with them before any is opened."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
SHOWN = 5
"""Names in a message; more are counted."""


class Picture(NamedTuple):
    """One file: its path below the root with forward slashes, its class, and where it comes from ("" unknown)."""

    path: str
    label: str
    source: str = ""
    metadata: tuple[str, ...] = ()
    """What its other folders say of it, in the order of `Layout.metadata`."""


class Problem(NamedTuple):
    """A file, or a class, that was left out, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class Layout:
    """What the folders below the root stand for."""

    levels: tuple[str, ...] = ("label",)
    """Meaning of each level from the root: `label`, `source`, `_` for nothing, or the name of
    metadata, as `region`."""
    source: str = ""
    """A regular expression; what its first group finds in the path is the source."""

    @classmethod
    def parse(cls, text: str, source: str = "") -> Layout:
        """Return the layout written as `label`, `source/label`, `_/label`. Raises MaterialError if it says no label."""
        levels = tuple(text.split("/"))
        named = [level for level in levels if level != "_"]
        if (
            "label" not in named
            or len(set(named)) < len(named)
            or not all(map(str.isidentifier, named))
        ):
            raise MaterialError(
                f"layout {text!r}: join label, source, _ and other names by slashes, as in source/label"
            )
        try:
            groups = re.compile(source).groups
        except re.error as error:
            raise MaterialError(f"source {source!r} is no regular expression: {error}") from error
        if source and not groups:
            raise MaterialError(
                f"source {source!r} has no group: put what names the source in parentheses"
            )
        return cls(levels, source)

    @property
    def metadata(self) -> tuple[str, ...]:
        """Names of the metadata."""
        return tuple(level for level in self.levels if level not in {"label", "source", "_"})

    def read(self, path: str) -> Picture | None:
        """Return the picture of a path below the root, or None when it lies above its label's folder."""
        *folders, _ = path.split("/")
        if len(folders) < len(self.levels):
            return None
        named = dict(zip(self.levels, folders, strict=False))
        source = named.get("source", "")
        if self.source:
            found = re.search(self.source, path)
            source = (found[1] or "") if found else ""
        # One text for all pictures of a class, not one each.
        return Picture(
            path, sys.intern(named["label"]), source, tuple(named[name] for name in self.metadata)
        )


@dataclass(frozen=True)
class Listing:
    """Everything below a root, in the order of the paths."""

    root: Path
    pictures: list[Picture]
    problems: list[Problem] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """The class names, sorted; a label is an index of this list."""
        return sorted({picture.label for picture in self.pictures})


def listing(root: Path, layout: Layout | None = None) -> Listing:
    """Return the pictures below `root`, by their names only; hidden files and folders are passed over.

    Raises MaterialError when there is none, and when two labels differ only in case.
    """
    layout = layout or Layout()
    if not root.is_dir():
        raise MaterialError(f"no folder {root}: give a folder that holds LABEL/picture.jpg")
    found = Listing(root, [])
    for path in _files(root):
        picture = layout.read(path)
        if reason := _wrong(path, picture):
            found.problems.append(Problem(path, reason))
        elif picture:
            found.pictures.append(picture)
    if not found.pictures:
        wanted = "/".join(level.upper() for level in layout.levels)
        raise MaterialError(
            f"no pictures in {root}: expected {wanted}/NAME with {', '.join(sorted(SUFFIXES))}"
        )
    _refuse_twin_names(found.classes)
    return found


def empty_classes(found: Listing, layout: Layout) -> list[str]:
    """Return the folders at the label's level that hold no picture."""
    depth = len(layout.levels)
    pattern = "/".join("*" * depth)
    full = {
        picture.path.rsplit("/", picture.path.count("/") - depth + 1)[0]
        for picture in found.pictures
    }
    folders = (path for path in found.root.glob(pattern) if path.is_dir())
    paths = (path.relative_to(found.root).as_posix() for path in folders)
    return sorted(
        path
        for path in paths
        if path not in full and not any(p.startswith(".") for p in path.split("/"))
    )


def thin_classes(pictures: Iterable[Picture]) -> list[str]:
    """Return the classes with a single picture, which no split can both train on and judge."""
    return sorted(
        label for label, count in Counter(p.label for p in pictures).items() if count == 1
    )


def some(names: list[str]) -> str:
    """Return the first names and how many more there are, for a message."""
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def picture_files(root: Path) -> list[str]:
    """Return the paths of the pictures below a root, by their names. Raises MaterialError without such a folder."""
    if not root.is_dir():
        raise MaterialError(f"no folder {root}")
    return [path for path in _files(root) if path.isprintable() and _is_picture(path)]


def _files(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        below = Path(folder).relative_to(root).as_posix()
        prefix = "" if below == "." else f"{below}/"
        yield from (prefix + name for name in sorted(names) if not name.startswith("."))


def _is_picture(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in SUFFIXES  # noqa: PTH122 a path object for each of 100,000 takes seconds


def _wrong(path: str, picture: Picture | None) -> str:
    if not path.isprintable():
        return "its name holds what cannot be written down: rename it"
    if not _is_picture(path):
        return "not a picture by its name"
    return "" if picture else "lies in no folder of a label"


def _refuse_twin_names(classes: list[str]) -> None:
    by_name = defaultdict(list)
    for label in classes:
        by_name[label.casefold()].append(label)
    if twins := [" and ".join(labels) for labels in by_name.values() if len(labels) > 1]:
        raise MaterialError(
            f"labels that differ only in case: {some(twins)}; rename one folder, or move its pictures"
        )
