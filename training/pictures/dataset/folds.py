"""Splits a pack into training, validation and test: random, or leaving out one source in turn."""

from __future__ import annotations

import csv
import io
import re
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from training.common.errors import MaterialError
from training.pictures.dataset import near_duplicates
from training.pictures.dataset.given_split import part_of_each
from training.pictures.dataset.histogram import text
from training.pictures.dataset.obtain import check as learnable

if TYPE_CHECKING:
    from training.pictures.dataset.packed import Pack
    from training.pictures.dataset.settings import CommonRecipe
    from training.pictures.dataset.split import Index

TRAIN, VALID, TEST = range(3)
WHOLE = "all"
"""Name of the training whose network becomes the artefact."""
UNTESTED = "validation, no test part"
"""The test set, or how those begin, where nothing tests: the validation part."""


@dataclass(frozen=True)
class Fold:
    """Rows of one training: training, validation and tests."""

    name: str
    """The source left out, or "all"."""
    train: Index
    valid: Index
    tests: dict[str, Index]
    """Rows by test set; the first one counts."""

    @property
    def tested(self) -> bool:
        """Whether a part that chose nothing tests it."""
        return UNTESTED not in self.tests

    @property
    def parts(self) -> dict[str, Index]:
        """The rows of each part, each once."""
        tests = self.tests if self.tested else {}
        return {"train": self.train, "valid": self.valid, **tests}


def make_folds(recipe: CommonRecipe, pack: Pack) -> list[Fold]:
    """Return the fold of each training of a network; the last one becomes the artefact.

    Random: one, with a test part. By source: one without each source in turn, tested on that
    source, on new things and on things from other sources; then one on everything but the
    validation part.
    """
    thing = recipe.pictures.thing
    keys = [_thing(thing, one.path, one.source) for one in pack.pictures]
    group = near_duplicates.groups(pack.table, keys, distance=recipe.split.distance)
    part = part_of_each(recipe, pack, group)
    if not recipe.split.by_source:
        rows = [np.flatnonzero(part == number) for number in (TRAIN, VALID, TEST)]
        tests = {"test": rows[TEST]}
        if not recipe.split.shares[TEST] and not len(rows[TEST]):
            tests = {UNTESTED: rows[VALID]}
        return [Fold(WHOLE, rows[TRAIN], rows[VALID], tests)]
    source = np.array([picture.source for picture in pack.pictures])
    names = sorted(set(source.tolist()) - {""})
    if len(names) < 2:
        raise MaterialError(
            f"split.by_source needs two sources or more; the pictures have {len(names)}"
        )
    everything = Fold(WHOLE, np.flatnonzero(part != VALID), np.flatnonzero(part == VALID), {})
    return [
        *(_without(name, source, part, shares_things=bool(thing)) for name in names),
        everything,
    ]


def alike(recipe: CommonRecipe, pack: Pack) -> Index:
    """Return a group number for each picture: near-duplicates, and pictures of one thing, share it.

    Sources join nothing here.
    """
    keys = [_thing(recipe.pictures.thing, picture.path, "") for picture in pack.pictures]
    return near_duplicates.groups(pack.table, keys, distance=recipe.split.distance)


def counts(pack: Pack, fold: Fold) -> dict[str, list[int]]:
    """Return the pictures of each class by part: train, valid, then the test sets."""
    return {
        name: np.bincount(pack.labels[chosen], minlength=len(pack.classes)).tolist()
        for name, chosen in fold.parts.items()
    }


def print_counts(pack: Pack, fold: Fold) -> None:
    """Print the pictures of each class by part, with a bar a class."""
    found = counts(pack, fold)
    table = text(
        np.stack([np.array(one) for one in found.values()], axis=1), pack.classes, [*found]
    )
    print(table, file=sys.stderr)


def split_csv(pack: Pack, folds: list[Fold]) -> str:
    """Return CSV with path, label, source and, by training, the part of each picture."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = ["part"] if len(folds) == 1 else [f"part without {f.name}" for f in folds[:-1]]
    columns += ["part"] * (len(folds) > 1)
    writer.writerow(("path", "label", "source", *columns))
    parts = [_names(fold, len(pack.pictures)) for fold in folds]
    for picture, *named in zip(pack.pictures, *parts, strict=True):
        writer.writerow((picture.path, picture.label, picture.source, *named))
    return text.getvalue()


def _names(fold: Fold, count: int) -> list[str]:
    named = [""] * count
    for name, rows in fold.parts.items():
        for row in rows.tolist():
            named[row] = name
    return named


def check(pack: Pack, folds: list[Fold]) -> None:
    """Raise MaterialError for folds without pictures, or without those of a class to train on."""
    for fold in folds:
        learnable(pack, pack.labels[fold.train].tolist())
        empty = [name for name, rows in fold.parts.items() if not len(rows)]
        if empty:
            raise MaterialError(
                f"no pictures for {', '.join(empty)}: {len(pack.pictures):,} pictures in few sets "
                "of near-duplicates or sources cannot be split; add pictures, or set a lower "
                "split.distance"
            )


def _without(name: str, source: npt.NDArray[np.str_], part: Index, *, shares_things: bool) -> Fold:
    here = source == name
    rows = {number: np.flatnonzero(~here & (part == number)) for number in (TRAIN, VALID)}
    tests = {"new things": np.flatnonzero(here & (part == TEST))} if shares_things else {}
    met = (
        {"things met in another source": np.flatnonzero(here & (part == TRAIN))}
        if shares_things
        else {}
    )
    return Fold(name, rows[TRAIN], rows[VALID], tests | met or {"test": np.flatnonzero(here)})


def _thing(pattern: str, path: str, source: str) -> str:
    if not pattern:
        return source
    found = re.search(pattern, path)
    return (found[1] or "") if found else ""
