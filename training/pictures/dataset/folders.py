"""Lists the pictures of a folder with class and source, by their paths only."""

from __future__ import annotations

import re
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from os.path import splitext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from common.folders import SPECIAL, files_below, is_special
from common.names import check_name, part_named, tidy
from features.file_kinds import PICTURES, begins_as_picture, first_bytes
from features.image_files.picture_hints import hint
from training.common.errors import MaterialError
from training.common.given_parts import part_levels
from training.common.text_files import check_alike

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN = 5
"""Names in a message; more are counted."""


_RESERVED = {"label", "source", "part", "_"}


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
    """Meaning of each level from the root: `label`, `source`, `part` (train, val, test), `_` for
    nothing, or the name of metadata, as `region`."""
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
                f"layout {text!r}: join label, source, part, _ and other names by slashes, such as "
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
        return tuple(level for level in self.levels if level not in _RESERVED)

    def read(self, path: str) -> Picture | None:
        """Return the picture of a path below the root, or None outside of a label's folder."""
        *folders, _ = path.split("/")
        if len(folders) < len(self.levels):
            return None
        named = dict(zip(self.levels, folders, strict=False))
        if "part" in named and not part_named(named["part"]):
            return None
        source = named.get("source", "")
        if self.source:
            found = re.search(self.source, path)
            source = (found[1] or "") if found else ""
        # One text for all pictures of a class, not one each.
        metadata = tuple(named[name] for name in self.metadata)
        return Picture(path, sys.intern(named["label"]), source, metadata)

    def part_of(self, path: str) -> str:
        """Return train, valid or test, as a folder of this path says, or ""."""
        named = dict(zip(self.levels, path.split("/")[:-1], strict=False))
        return part_named(named.get("part", ""))

    def with_parts(self, paths: Iterable[str]) -> Layout:
        """Return the layout with levels for the folders that are parts of a split, if there are.

        Raises MaterialError where only some folders of a level are.
        """
        if "part" in self.levels:
            return self
        levels = list(self.levels)
        found = part_levels((path.split("/")[:-1] for path in paths), len(levels))
        for number, level in enumerate(found):
            levels.insert(level, "_" if number else "part")
        return replace(self, levels=tuple(levels))


@dataclass(frozen=True)
class Listing:
    """Everything below a root, in the order of the paths."""

    root: Path
    pictures: list[Picture]
    problems: list[Problem] = field(default_factory=list)
    layout: Layout = field(default_factory=Layout)
    """Meaning of the folders, with those that are parts of a split."""

    @property
    def classes(self) -> list[str]:
        """The class names, sorted; a label is an index of this list."""
        return sorted({picture.label for picture in self.pictures})


def listing(root: Path, layout: Layout | None = None) -> Listing:
    """Return the pictures below `root`, by their names or first bytes; hidden files are skipped.

    Folders train, val and test are parts, not labels. Raises MaterialError without pictures, when
    two labels differ only in case, and where only some folders of a level are parts.
    """
    if not root.is_dir():
        raise MaterialError(f"no folder {root}: give a folder that holds LABEL/picture.jpg")
    paths = list(files_below(root))
    others = {path: reason for path in paths if (reason := _no_picture(root, path))}
    layout = (layout or Layout()).with_parts(path for path in paths if path not in others)
    found = Listing(root, [], layout=layout)
    for path in paths:
        picture = layout.read(path)
        if reason := others.get(path) or _wrong(picture):
            found.problems.append(Problem(path, reason))
        elif picture:
            found.pictures.append(picture)
    if not found.pictures:
        wanted = "/".join(level.upper() for level in layout.levels)
        raise MaterialError(
            f"no pictures in {root}: expected {wanted}/NAME with {', '.join(sorted(PICTURES))}"
        )
    return _tidied(found)


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
    return [path for path in files_below(root) if not _no_picture(root, path)]


def _no_picture(root: Path, path: str) -> str:
    """Return why a file is no picture; "" if it is one by its name, or else its first bytes."""
    if not path.isprintable():
        return "its name has unprintable characters: rename it"
    if is_special(f"{root}/{path}"):
        return SPECIAL
    if splitext(path)[1].lower() in PICTURES:  # noqa: PTH122 path objects take seconds
        return ""
    head = first_bytes(root / path)
    if begins_as_picture(head):
        return ""
    return f"not a picture by its name or first bytes{hint(head)}"


def _wrong(picture: Picture | None) -> str:
    return check_name(picture.label) if picture else "outside of the folder of a label"


def _tidied(found: Listing) -> Listing:
    """Return the listing with labels of composed letters. Raises MaterialError for those alike."""
    by_case = defaultdict(list)
    for label in found.classes:
        by_case[label.casefold()].append(label)
    if clashes := [" and ".join(labels) for labels in by_case.values() if len(labels) > 1]:
        raise MaterialError(
            f"labels that differ only in case: {some(clashes)}; rename one folder, or move "
            "its pictures"
        )
    check_alike(found.classes)
    changed = {label: tidy(label) for label in found.classes if tidy(label) != label}
    if not changed:
        return found
    pictures = [p._replace(label=changed.get(p.label, p.label)) for p in found.pictures]
    return replace(found, pictures=pictures)
