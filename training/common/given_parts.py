"""Folders named as the parts of a split: train, val and test are never labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from common.names import part_named
from training.common.errors import MaterialError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PARTS = ("train", "valid", "test")


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
