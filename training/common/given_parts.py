"""Folders named as the parts of a split: train, val and test are never labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PARTS = ("train", "valid", "test")
_NAMES = {
    "train": ("train", "training", "trn"),
    "valid": ("val", "valid", "validate", "validation", "dev"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout"),
}
_ROLES = {name: part for part, names in _NAMES.items() for name in names}
_FILLERS = {
    *("audio", "clips", "data", "dataset", "files", "images", "img", "imgs", "part", "photos"),
    *("pictures", "recordings", "samples", "seg", "set", "sounds", "split", "subset", "wav"),
}


def part_named(name: str) -> str:
    """Return train, valid or test for a name such as Training, val2017 or test_images, else ""."""
    words = re.findall(r"[^\W\d_]+", name.casefold())
    roles = [_ROLES[word] for word in words if word in _ROLES]
    others = [word for word in words if word not in _ROLES and word not in _FILLERS]
    return roles[0] if len(roles) == 1 and not others else ""


def part_levels(folders: Iterable[Sequence[str]], depth: int) -> list[int]:
    """Return the levels, counted from the root, whose folders are the parts of a split.

    folders: the folders above each file. depth: levels that mean something else, such as a label;
    parts may stand before, between and behind them. Raises MaterialError where only some folders
    of a level are parts.
    """
    names: dict[int, set[str]] = {}
    deeper: set[int] = set()
    for above in set(map(tuple, folders)):
        for level, name in enumerate(above):
            names.setdefault(level, set()).add(name)
        if len(above) > depth:
            deeper.update(range(len(above)))
    return [
        level
        for level, there in sorted(names.items())
        if level <= depth and _are_parts(there, alone=level in deeper)
    ]


def _are_parts(names: set[str], *, alone: bool) -> bool:
    """Return whether these are parts. alone: one part is enough, for labels lie below it."""
    roles = {name: part_named(name) for name in names}
    parts = set(roles.values()) - {""}
    if "train" not in parts or (len(parts) == 1 and not (alone and all(roles.values()))):
        return False
    if others := sorted(name for name, part in roles.items() if not part):
        shown = ", ".join(sorted(name for name, part in roles.items() if part))
        raise MaterialError(
            f"folders {shown} are named as parts of a split, but beside them is {others[0]!r}: "
            "move it away, rename it to train, val or test, or rename those that are labels"
        )
    return True
