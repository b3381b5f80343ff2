"""The windows of the recipe `instruments` as a table, for searches and studies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.config import DEFAULT
from training.common.labels import LABELS, RATE
from training.common.progress import stage
from training.notes.mixtures import AUDIBLE_DB, AUDIBLE_SECONDS
from training.recordings.collection import Clip, CollectionError, collect
from training.recordings.split import PARTS, by_source
from training.recordings.table import Table, write_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy.typing as npt

    from features.config import Kind
    from training.notes.window_set import WindowSet
    from training.recordings.table import Tensors

SHARES = (0.6, 0.2, 0.2)
NOISES = {"noise-a": "train", "noise-b": "test"}
BLOCK = 1024
RULE = (
    f"a label is on when its part is above {AUDIBLE_DB:g} dB of the loudest 23 ms of the mix for "
    f"at least {AUDIBLE_SECONDS:g} s of the 2-s window; a window of one note has its label "
    f"whenever it sounds"
)


def instruments(changes: Sequence[str], out: Path, *, kinds: tuple[Kind, ...]) -> Table:
    """Return the table of the recipe's windows: training ones augmented, the others not.

    The parts are made by source; a window of two sources in different parts is in no part.
    """
    from training.common.recipe import load
    from training.pipelines.instruments import gather

    recipe = load("instruments", changes)
    windows = gather(recipe, stage)
    return export(windows.train, windows.test, out, kinds=kinds, jobs=recipe.jobs, seed=recipe.seed)


def export(
    train: WindowSet,
    test: WindowSet,
    out: Path,
    *,
    kinds: tuple[Kind, ...],
    jobs: int = 1,
    seed: int = 1,
) -> Table:
    """Return the table of two sets: one of training windows, one for validation and test."""
    part = parts_of(train, seed=seed)
    rows = [_rows(train, part, ("train",)), _rows(test, part, ("valid", "test"))]
    names = [*train.source[rows[0]].tolist(), *test.source[rows[1]].tolist()]
    sources = sorted(set(names))
    number = {name: index for index, name in enumerate(sources)}
    count = len(names)
    columns = {
        "labels": np.concatenate(
            [one.labels[some] for one, some in zip((train, test), rows, strict=True)]
        ),
        "groups": np.array([number[name] for name in names], np.int32),
        "clips": np.arange(count, dtype=np.int32),
        "starts": np.zeros(count, np.float32),
        "parts": np.array([PARTS.index(str(_part(name, part))) for name in names], np.uint8),
        "copies": np.zeros(count, np.uint8),
    }
    tensors: dict[str, Tensors] = {
        kind: ((count, *DEFAULT.shape(kind)), _blocks((train, test), rows, kind, jobs))
        for kind in kinds
    }
    lines = _lines((train, test), rows, names, columns)
    return write_table(
        out, about=_about(train, test, sources, seed), columns=columns, tensors=tensors, clips=lines
    )


def parts_of(windows: WindowSet, *, seed: int) -> dict[str, str]:
    """Return the part of each source of windows that have only one."""
    clips = []
    for source in (source for source in windows.sources if source not in NOISES):
        held = windows.labels[windows.source == source].sum(axis=0)
        for label, count in zip(LABELS, held.tolist(), strict=True):
            clips += [Clip(Path(label), 0.0, 2.0 * count, (label,), source)] if count else []
    if not clips:
        raise CollectionError("no windows with a label")
    return by_source(collect(clips, []), SHARES, seed=seed).part | NOISES


def _rows(
    windows: WindowSet, part: dict[str, str], wanted: tuple[str, ...]
) -> npt.NDArray[np.int64]:
    """Return the windows whose sources are all in one of the wanted parts."""
    names = windows.source.tolist()
    return np.flatnonzero([_part(name, part) in wanted for name in names])


def _part(source: str, part: dict[str, str]) -> str | None:
    """Return the part that all sources of a window are in, if there is one."""
    found = {part.get(one) for one in source.split("+")}
    return found.pop() if len(found) == 1 else None


def _blocks(
    sets: tuple[WindowSet, WindowSet], rows: list[npt.NDArray[np.int64]], kind: Kind, jobs: int
) -> Iterable[npt.NDArray[Any]]:
    from training.notes.tensors import tensors

    for windows, some, name in zip(sets, rows, ("train", "test"), strict=True):
        with stage(f"{kind} of {name} windows") as progress:
            table = tensors(windows, kind=kind, jobs=jobs, progress=progress)
        yield from (table[some[first : first + BLOCK]] for first in range(0, len(some), BLOCK))


def _lines(
    sets: tuple[WindowSet, WindowSet],
    rows: list[npt.NDArray[np.int64]],
    names: list[str],
    columns: dict[str, npt.NDArray[Any]],
) -> list[tuple[Any, ...]]:
    places = [
        (one.folder, row) for one, some in zip(sets, rows, strict=True) for row in some.tolist()
    ]
    names_of_labels = [";".join(np.array(LABELS)[on].tolist()) for on in columns["labels"]]
    parts = [PARTS[part] for part in columns["parts"].tolist()]
    return [
        (folder, row, 0.0, 2.0, label, source, part)
        for (folder, row), label, source, part in zip(
            places, names_of_labels, names, parts, strict=True
        )
    ]


def _about(train: WindowSet, test: WindowSet, sources: list[str], seed: int) -> dict[str, Any]:
    return {
        "labels": LABELS,
        "sources": sources,
        "rule": RULE,
        "window_s": 2.0,
        "hop_s": 2.0,
        "rate": RATE,
        "variants": (),
        "seed": seed,
        "fingerprint": f"{train.fingerprint}-{test.fingerprint}",
    }
