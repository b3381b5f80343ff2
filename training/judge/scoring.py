"""Scores of every file of a labelled folder."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from common.errors import InputError
from common.folders import files_below
from features.config import PictureConfig
from features.picture import decode, tensor
from training.common.errors import MaterialError
from training.judge.classes import Matched, match_folders
from training.pictures.dataset.folders import Layout, listing, some

if TYPE_CHECKING:
    from pathlib import Path

    from training.common.progress import Progress
    from training.judge.judged_model import JudgedModel

BATCH = 32


class Item(NamedTuple):
    """A file, the folder it is labelled by, and what else folders say of it."""

    path: str
    """Below the root, with forward slashes."""
    folder: str
    metadata: dict[str, str]


@dataclass(frozen=True)
class Scored:
    """The scores of a collection."""

    matched: Matched
    files: list[str]
    """Paths of the files that were read."""
    labels: npt.NDArray[np.int64]
    """(files,), numbers of classes."""
    rows: npt.NDArray[np.int64]
    """(scores,), of each score its file; a picture has one, a sound one a window."""
    scores: npt.NDArray[np.float32]
    problems: list[tuple[str, str]]
    """Path of what could not be read, and the reason."""


def score(model: JudgedModel, root: Path, *, layout: str, progress: Progress) -> Scored:
    """Return the scores of the files of a folder whose folders are classes of the model.

    Raises MaterialError when no folder is a class of the model, or nothing can be read.
    """
    items, problems = _items(model, root, layout)
    matched = match_folders(sorted({item.folder for item in items}), model.labels)
    wanted = [item for item in items if item.folder in matched.by_folder]
    if not wanted:
        raise MaterialError(
            f"no folder of {root} is a class of {model.name}: folders are "
            f"{some(matched.unknown + list(matched.ambiguous))}; classes are {some(model.labels)}"
        )
    files, found = list[Item](), []
    rows = [np.zeros(0, np.int64)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(wanted), BATCH):
            some_items = wanted[start : start + BATCH]
            read = list(pool.map(lambda item: _tensors(model, root, item), some_items))
            good = [one for one in read if not isinstance(one, str)]
            problems += [
                (item.path, why)
                for item, why in zip(some_items, read, strict=True)
                if isinstance(why, str)
            ]
            rows += [np.full(len(one), len(files) + at) for at, one in enumerate(good)]
            files += [
                item for item, one in zip(some_items, read, strict=True) if not isinstance(one, str)
            ]
            found += [model.scores(part) for part in _parts(good)]
            progress(min(len(wanted), start + BATCH), len(wanted))
    if not files:
        raise MaterialError(f"no file of {root} can be read; the first: {': '.join(problems[0])}")
    labels = np.array([matched.by_folder[item.folder] for item in files], np.int64)
    paths = [item.path for item in files]
    return Scored(matched, paths, labels, np.concatenate(rows), np.concatenate(found), problems)


def _parts(tensors: list[npt.NDArray[Any]]) -> Iterable[npt.NDArray[Any]]:
    together = np.concatenate(tensors) if tensors else np.zeros(0)
    return (together[at : at + BATCH] for at in range(0, len(together), BATCH))


def _items(model: JudgedModel, root: Path, layout: str) -> tuple[list[Item], list[tuple[str, str]]]:
    if model.medium == "sound":
        return _sounds(model, root), []
    meaning = Layout.parse(layout)
    found = listing(root, meaning)
    fields = model.config.metadata if isinstance(model.config, PictureConfig) else ()
    absent = [one.name for one in fields if one.required and one.name not in meaning.metadata]
    if absent:
        raise MaterialError(
            f"{model.name} takes {', '.join(absent)} with each picture: say which folders name it, "
            f"such as --layout {absent[0]}/label"
        )
    known = {one.name for one in fields}
    items = [
        Item(
            picture.path,
            picture.label,
            {
                name: value
                for name, value in zip(found.layout.metadata, picture.metadata, strict=True)
                if name in known
            },
        )
        for picture in found.pictures
    ]
    return items, [(one.path, one.reason) for one in found.problems]


def _sounds(model: JudgedModel, root: Path) -> list[Item]:
    """Return the sounds below the folders of a root."""
    if not root.is_dir():
        raise MaterialError(f"no folder {root}: give a folder that holds LABEL/sound.wav")
    return [
        Item(path, path.split("/")[0], {})
        for path in files_below(root)
        if "/" in path and model.kind.takes(root / path)
    ]


def _tensors(model: JudgedModel, root: Path, item: Item) -> npt.NDArray[Any] | str:
    """Return the tensors of a file, (n, *shape), or why it cannot be read."""
    try:
        data = (root / item.path).read_bytes()
        if isinstance(model.config, PictureConfig):
            return tensor(decode(data, model.config), model.config, item.metadata)[None]
        return np.stack(list(model.kind.tensors(data, model.config, number=0)))
    except (InputError, OSError) as error:
        return str(error)
