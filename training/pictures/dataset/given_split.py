"""The part of each picture of a pack: of its folders or of lists, where there are some."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from training.common.errors import MaterialError
from training.common.given_parts import PARTS
from training.common.part_lists import lists_in, parts_of, read_parts
from training.pictures.dataset.obtain import locate
from training.pictures.dataset.split import Index, Split, assign, remarks

if TYPE_CHECKING:
    from training.pictures.dataset.packed import Pack
    from training.pictures.dataset.settings import CommonRecipe

NONE = "none"


def part_of_each(recipe: CommonRecipe, pack: Pack, group: Index) -> Index:
    """Return the part of each picture: an index of PARTS, -1 for those that no list names.

    group: of each picture; a given split may cut through groups, which is told. Raises
    MaterialError for lists that do not fit the pictures, and where none are to train on.
    """
    labels = [pack.classes[label] for label in pack.labels.tolist()]
    shares = np.array(recipe.split.shares) / sum(recipe.split.shares)
    used = np.flatnonzero(shares).tolist()
    names, where = _given(recipe, pack)
    if not where:
        part = assign(labels, group, shares[used].tolist(), seed=recipe.seed)
        names_used = tuple(PARTS[number] for number in used)
        split = Split(pack.pictures, group, part, names_used, pack.classes)
        for line in remarks(split, shares[used].tolist()):
            print(line, file=sys.stderr)
        return part
    if recipe.split.by_source:
        raise MaterialError(
            f"split {where}: split.by_source leaves out sources instead; set split.given=none, or "
            "split.by_source=false"
        )
    part = np.array([PARTS.index(name) if name else -1 for name in names])
    if not (part == 0).any():
        raise MaterialError(f"split {where}: no picture to train on")
    absent = [number for number in used if not (part == number).any()]
    if absent:
        rows, wanted = np.flatnonzero(part == 0), [0, *absent]
        share = shares[wanted] / shares[wanted].sum()
        cut = assign([labels[row] for row in rows], group[rows], share.tolist(), seed=recipe.seed)
        part[rows] = np.array(wanted)[cut]
    for line in _remarks(part, group, where, absent):
        print(line, file=sys.stderr)
    return part


def _given(recipe: CommonRecipe, pack: Pack) -> tuple[list[str], str]:
    """Return the name of each picture's part, and where it comes from; "" if nowhere."""
    given, root = recipe.split.given, pack.root
    if given == NONE:
        return [], ""
    places = locate(Path(given).expanduser(), recipe) if given else []
    if root and lists_in(root):
        places.append(root)
    if places:
        lists = next((place for place in places if place.exists()), places[0])
        paths = [picture.path for picture in pack.pictures]
        # Files that cannot be read are in lists as well.
        known = [*paths, *(path for path in pack.unread if path not in set(paths))]
        return parts_of(known, read_parts(lists), where=str(lists))[: len(paths)], f"of {lists}"
    return pack.parts, "as its folders have it" if any(pack.parts) else ""


def _remarks(part: Index, group: Index, where: str, absent: list[int]) -> list[str]:
    names = " and ".join(PARTS[number] for number in absent)
    cut = f"; {names} cut from train" if absent else ""
    found = [f"split {where}{cut} (split.given=none for one by shares)"]
    if lost := int((part < 0).sum()):
        found.append(f"left out: {lost:,} pictures that are in no part")
    known = part >= 0
    trained = np.isin(group, group[part == 0])
    if alike := int((trained & known & (part > 0)).sum()):
        found.append(
            f"{alike:,} pictures of valid and test are near-duplicates of training pictures, or "
            "of one source with them: their scores will be too good"
        )
    return found
