"""Lists the pictures of a folder with class and source, by their paths only."""

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
    """One file: path below the root with forward slashes, class, and source ("" if unknown)."""

    path: str
    label: str
    source: str = ""
    metadata: tuple[str, ...] = ()
    """Names of its other folders, in the order of `Layout.metadata`."""


class Problem(NamedTuple):
    """A file that was left out, and the reason."""

    path: str
    reason: str


@dataclass(frozen=True)
class Layout:
    """The meaning of the folders below the root."""

    levels: tuple[str, ...] = ("label",)
    """Meaning of each level from the root: `label`, `source`, `_` for nothing, or the name of
    metadata, as `region`."""
    source: str = ""
    """A regular expression; what its first group finds in the path is the source."""

    @classmethod
    def parse(cls, text: str, source: str = "") -> Layout:
        """Return a layout such as `label` or `source/label`. Raises MaterialError without label."""
        levels = tuple(text.split("/"))
        named = [level for level in levels if level != "_"]
        if (
            "label" not in named
            or len(set(named)) < len(named)
            or not all(map(str.isidentifier, named))
        ):
            raise MaterialError(
                f"layout {text!r}: join label, source, _ and other names by slashes, such as "
                "source/label"
            )
        try:
            groups = re.compile(source).groups
        except re.error as error:
            raise MaterialError(
                f"source {source!r} is not a regular expression: {error}"
            ) from error
        if source and not groups:
            raise MaterialError(
                f"source {source!r} has no group: put the part that is the source in parentheses"
            )
        return cls(levels, source)

    @property
    def metadata(self) -> tuple[str, ...]:
        """Names of the metadata."""
        return tuple(level for level in self.levels if level not in {"label", "source", "_"})

    def read(self, path: str) -> Picture | None:
        """Return the picture of a path below the root, or None outside of a label's folder."""
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
    """Return the pictures below `root`, by their names only; hidden files are skipped.

    Raises MaterialError without pictures, and when two labels differ only in case.
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
    _check_case(found.classes)
    return found


def empty_classes(found: Listing, layout: Layout) -> list[str]:
    """Return the folders at the label's level without pictures."""
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


def single_picture_classes(pictures: Iterable[Picture]) -> list[str]:
    """Return the classes with a single picture, which cannot be split."""
    return sorted(
        label for label, count in Counter(p.label for p in pictures).items() if count == 1
    )


def some(names: list[str]) -> str:
    """Return the first names and the number of the others, for a message."""
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest:,} more" if rest > 0 else "")


def picture_files(root: Path) -> list[str]:
    """Return the paths of the pictures below a root. Raises MaterialError without the folder."""
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
    return os.path.splitext(path)[1].lower() in SUFFIXES  # noqa: PTH122 path objects take seconds


def _wrong(path: str, picture: Picture | None) -> str:
    if not path.isprintable():
        return "its name has unprintable characters: rename it"
    if not _is_picture(path):
        return "not a picture by its name"
    return "" if picture else "outside of the folder of a label"


def _check_case(classes: list[str]) -> None:
    by_name = defaultdict(list)
    for label in classes:
        by_name[label.casefold()].append(label)
    if clashes := [" and ".join(labels) for labels in by_name.values() if len(labels) > 1]:
        raise MaterialError(
            f"labels that differ only in case: {some(clashes)}; rename one folder, or move "
            "its pictures"
        )
