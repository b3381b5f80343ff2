"""Training, validation and test windows: by source (honest), or as in the original work (leaky).

The original work is the instrument recogniser that Timbre generalises; it published 94.90 %
element-wise accuracy.

*Honest*: the table's own parts; no source is in two of them, and only originals evaluate. *Leaky*:
all windows shuffled, copies made before the split, so that parts of one recording and copies of
one window are in several parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from training.evaluation.metrics import multi_label
from training.evaluation.thresholds import calibrate
from training.recordings.collection import CollectionError
from training.recordings.split import PARTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from training.evaluation.metrics import Mask, Metrics, Scores
    from training.recordings.table import Rows, Table

LEAKY = "leaky"
"""How every score under the original work's own protocol is marked."""
JUDGING = 3
"""A part to evaluate with has at most a third of the windows that train."""
LEAST = 27
"""Training windows: one more than there are features, or nothing can be projected."""


class Parts(NamedTuple):
    """Rows of the table."""

    train: Rows
    valid: Rows
    test: Rows


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of every study."""

    rows: int = 20_000
    """Training windows at most, drawn at random."""
    seed: int = 1
    """Seed of everything random."""
    jobs: int = 2
    """Threads, where a model can use them."""
    epochs: int = 0
    """Passes of a network over the windows; 0 is what each is made for."""
    only: tuple[str, ...] = ()
    """Models to compare, by name; empty: all."""


def honest(table: Table, options: Options) -> Parts:
    """Return the table's parts, cut to size.

    Raises CollectionError where one is empty, or training is too small.
    """
    rng = np.random.default_rng(options.seed)
    found = [_some(table.rows(part, copies=part == "train"), part, options, rng) for part in PARTS]
    if empty := [part for part, rows in zip(PARTS, found, strict=True) if not len(rows)]:
        raise CollectionError(
            f"{table.path} has no window in {', '.join(empty)}: "
            f"a study needs sources to train, to validate and to test"
        )
    if len(found[0]) < LEAST:
        raise CollectionError(
            f"{len(found[0])} training windows: a study needs at least {LEAST}; "
            f"add some, or more --rows"
        )
    return Parts(*found)


def leaky(table: Table, options: Options) -> Parts:
    """Return parts of the honest ones' sizes, drawn from all windows and copies at random."""
    sizes = [len(rows) for rows in honest(table, options)]
    shuffled = np.random.default_rng(options.seed + 1).permutation(len(table))[: sum(sizes)]
    train, valid, test = np.split(shuffled, np.cumsum(sizes)[:-1])
    return Parts(np.sort(train), np.sort(valid), np.sort(test))


def _some(rows: Rows, part: str, options: Options, rng: np.random.Generator) -> Rows:
    most = options.rows if part == "train" else max(1, options.rows // JUDGING)
    return np.sort(rng.permutation(rows)[:most])


def measure(
    scores: Scores,
    labels: Mask,
    *,
    thresholds: npt.NDArray[np.floating[Any]] | float,
    names: Sequence[str],
) -> Metrics:
    """Return accuracy at 0.5 (as the original work), F1 at the given thresholds, and mAP."""
    limits = np.broadcast_to(np.asarray(thresholds, np.float32), (len(names),))
    found = multi_label(scores, labels, thresholds=limits, names=names)
    return found | {"accuracy": float(np.mean((scores >= 0.5) == labels))}


def choose(scores: Scores, labels: Mask, groups: npt.NDArray[np.int32]) -> npt.NDArray[np.float32]:
    """Return the thresholds of best F1 on validation windows, all sources weighted equally."""
    return calibrate(scores, labels, source=groups.astype(str), kind=np.full(len(labels), "any"))
