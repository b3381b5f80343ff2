"""Tensors to calibrate and evaluate a quantised network, from a folder, a zip or a pack."""

from __future__ import annotations

import json
import zipfile
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from common.errors import InputError, TooLarge
from models.kinds import example_metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from models.store import Model

Item = TypeVar("Item")
Found: TypeAlias = list[tuple[str, npt.NDArray[Any]]]
"""Tensors, and the folder that each comes from."""
MOST = 512
"""Files that are read, spread over all."""
MOST_BYTES = 64 * 1024 * 1024
"""Of one file."""


@dataclass(frozen=True)
class Material:
    """Tensors to calibrate a graph, and tensors to evaluate it beside the original."""

    calibration: npt.NDArray[Any]
    evaluation: npt.NDArray[Any]
    truth: list[int] | None
    """Label of each evaluation tensor, if the folders are named after labels."""
    about: str


def golden(folder: Path) -> Material:
    """Return the golden inputs of an artefact's folder, for calibration and evaluation."""
    with np.load(folder / "golden.npz", allow_pickle=False) as arrays:
        inputs = arrays["inputs"]
    return Material(
        inputs, inputs, None, f"{len(inputs)} golden inputs, for calibration and evaluation"
    )


def collected(model: Model, source: Path) -> Material:
    """Return the files of a folder, zip or pack of `timbre data pack`, half for each purpose.

    Raises InputError if fewer than two of them can be read.
    """
    if (source / "pack.json").is_file():
        found = _from_pack(model, source)
    elif source.is_file():
        found = _from_zip(model, source)
    elif source.is_dir():
        paths = _spread(sorted(path for path in source.rglob("*") if path.is_file()))
        found = _read(model, ((path.parent.name, path.read_bytes) for path in paths))
    else:
        raise InputError(f"{source} does not exist; it must be a folder, a zip or a pack")
    if len(found) < 2:
        raise InputError(f"{source}: fewer than two files that {model.name!r} can read")
    tensors, names = np.stack([tensor for _, tensor in found]), [name for name, _ in found[1::2]]
    guessed = bool(getattr(model.config, "metadata", ()))
    truth = (
        [model.labels.index(name) for name in names]
        if set(names) <= set(model.labels) and not guessed
        else None
    )
    return Material(
        tensors[::2], tensors[1::2], truth, f"{len(found)} from {source.name}, half each"
    )


def _spread(items: Sequence[Item]) -> list[Item]:
    return [
        items[at]
        for at in np.unique(np.linspace(0, len(items) - 1, min(len(items), MOST)).astype(int))
    ]


def _read(model: Model, files: Iterable[tuple[str, Callable[[], bytes]]]) -> Found:
    found: Found = []
    for number, (name, read) in enumerate(files):
        try:
            found += [
                (name, tensor)
                for tensor in model.input.tensors(read(), model.config, number=number)
            ]
        except InputError:  # of another kind than the model's
            continue
    return found[: 4 * MOST]


def _from_zip(model: Model, source: Path) -> Found:
    def read(entry: zipfile.ZipInfo) -> bytes:
        if entry.file_size > MOST_BYTES:
            raise TooLarge(f"{entry.filename}: {entry.file_size} bytes")
        return archive.read(entry)

    try:
        with zipfile.ZipFile(source) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            chosen = _spread(sorted(entries, key=lambda entry: entry.filename))
            return _read(
                model,
                (
                    (PurePosixPath(each.filename).parent.name, partial(read, each))
                    for each in chosen
                ),
            )
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"{source} cannot be read as a zip: {error}") from error


def _from_pack(model: Model, source: Path) -> Found:
    """Read the tensors of a pack. Raises InputError if its settings are not the model's."""
    from features.picture import tensor

    try:
        config = json.loads((source / "pack.json").read_text(encoding="utf-8"))["config"]
        images, labels = (
            np.load(source / "images.npy", mmap_mode="r"),
            np.load(source / "labels.npy"),
        )
        classes = json.loads((source / "classes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{source} is not a complete pack: {error}") from error
    required = asdict(model.picture) if model.input.medium == "picture" else {}
    differing = [
        name for name in required if name != "metadata" and required[name] != config.get(name)
    ]
    if differing or not required:
        takes = ", ".join(f"{name} {required[name]}" for name in differing) or "sound"
        raise InputError(
            f"{source} was packed with other settings; model {model.name!r}: it takes {takes}"
        )
    rows = _spread(range(len(images)))
    return [
        (
            classes[labels[row]],
            tensor(images[row], model.picture, example_metadata(model.picture, row)),
        )
        for row in rows
    ]
