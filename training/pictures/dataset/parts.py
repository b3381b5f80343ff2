"""Which pictures train, choose and judge: by chance, or with one source left out in turn."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from training.common.errors import MaterialError
from training.pictures.dataset import near_duplicates
from training.pictures.dataset.obtain import check as learnable
from training.pictures.dataset.split import Index, assign

if TYPE_CHECKING:
    from training.pictures.dataset.packed import Pack
    from training.pictures.dataset.settings import CommonRecipe

TRAIN, VALID, TEST = range(3)
WHOLE = "all"
"""The training that is shipped."""


@dataclass(frozen=True)
class Part:
    """One training: what it learns from, what its best epoch is chosen by, what judges it."""

    name: str
    """The source left out, or "all"."""
    train: Index
    valid: Index
    tests: dict[str, Index]
    """Rows by what they ask; the first one is the figure that counts."""


def parts(recipe: CommonRecipe, pack: Pack) -> list[Part]:
    """Return the trainings of one network, the one that is shipped last.

    By chance: one, judged on its test part. By source: without each source in turn, judged on that
    source, on things that no source showed it and on things it met in another one; then one on
    everything but the validation part.
    """
    kin = [_thing(recipe.pictures.thing, picture.path, picture.source) for picture in pack.pictures]
    group = near_duplicates.groups(pack.table, kin)
    labels = [pack.classes[label] for label in pack.labels.tolist()]
    shares = tuple(share / sum(recipe.split.shares) for share in recipe.split.shares)
    part = assign(labels, group, shares, seed=recipe.seed)
    if not recipe.split.by_source:
        rows = [np.flatnonzero(part == number) for number in (TRAIN, VALID, TEST)]
        return [Part(WHOLE, rows[TRAIN], rows[VALID], {"test": rows[TEST]})]
    source = np.array([picture.source for picture in pack.pictures])
    names = sorted(set(source.tolist()) - {""})
    if len(names) < 2:
        raise MaterialError(
            f"split.by_source wants two sources or more, and the pictures have {len(names)}"
        )
    everything = Part(WHOLE, np.flatnonzero(part != VALID), np.flatnonzero(part == VALID), {})
    return [
        *(
            _without(name, source, part, shares_things=bool(recipe.pictures.thing))
            for name in names
        ),
        everything,
    ]


def check(pack: Pack, every: list[Part]) -> None:
    """Raise MaterialError where there is nothing to learn a class from, to choose the best epoch by, or to judge by."""
    for part in every:
        learnable(pack, pack.labels[part.train].tolist())
        wanting = [
            name for name, rows in {"valid": part.valid, **part.tests}.items() if not len(rows)
        ]
        if wanting:
            raise MaterialError(
                f"no pictures for {', '.join(wanting)}: {len(pack.pictures):,} pictures in few sets of near-duplicates "
                f"or sources cannot be split; add pictures"
            )


def _without(name: str, source: npt.NDArray[np.str_], part: Index, *, shares_things: bool) -> Part:
    here = source == name
    rows = {number: np.flatnonzero(~here & (part == number)) for number in (TRAIN, VALID)}
    tests = {"new things": np.flatnonzero(here & (part == TEST))} if shares_things else {}
    met = (
        {"things met in another source": np.flatnonzero(here & (part == TRAIN))}
        if shares_things
        else {}
    )
    return Part(name, rows[TRAIN], rows[VALID], tests | met or {"test": np.flatnonzero(here)})


def _thing(pattern: str, path: str, source: str) -> str:
    if not pattern:
        return source
    found = re.search(pattern, path)
    return (found[1] or "") if found else ""
