"""Packs: the pictures of a folder as one array that is mapped, not read, with labels and where each row comes from.

images.npy    uint8 (n, height, width, 3)
labels.npy    int32 (n,), indices of the classes
classes.json  the names of the classes
thumbs.npy    uint8 (n, 8, 8, 3), to know near-duplicates by
index.csv     of each row: path, label, source, metadata, sha256, dhash, spread
problems.csv  what was left out, and why
pack.json     how it was made
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import numpy.typing as npt

from training.common.errors import MaterialError
from training.pictures.dataset.folders import Picture
from training.pictures.dataset.image_hash import ImageHashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

LAYOUT = 1
"""Raised whenever what is stored changes."""
COLUMNS = ("path", "label", "source")


@dataclass(frozen=True)
class Pack:
    """An opened pack; the images stay on disk until they are touched."""

    images: npt.NDArray[np.uint8]
    """(n, height, width, 3)"""
    labels: npt.NDArray[np.int32]
    classes: list[str]
    pictures: list[Picture]
    table: ImageHashes
    about: dict[str, Any]


def is_pack(folder: Path) -> bool:
    """Return whether the folder is a pack rather than pictures."""
    return (folder / "pack.json").is_file()


def open_pack(folder: Path) -> Pack:
    """Return the pack of a folder. Raises MaterialError when it is none, or not of this layout."""
    try:
        about = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
        if about["layout"] != LAYOUT:
            raise MaterialError(
                f"{folder} is of layout {about['layout']}, not {LAYOUT}: pack it anew"
            )
        images = np.load(folder / "images.npy", mmap_mode="r")
        labels, thumbs = np.load(folder / "labels.npy"), np.load(folder / "thumbs.npy")
        classes = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
        with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, KeyError) as error:
        raise MaterialError(f"{folder} is no whole pack: {error}") from error
    if not len(images) == len(labels) == len(rows):
        raise MaterialError(
            f"{folder}: {len(images)} images, {len(labels)} labels and {len(rows)} rows do not agree"
        )
    named = about["metadata"]
    pictures = [
        Picture(row["path"], row["label"], row["source"], tuple(row[name] for name in named))
        for row in rows
    ]
    return Pack(images, labels, classes, pictures, _table(thumbs, rows), about)


def _table(thumbs: npt.NDArray[np.uint8], rows: list[dict[str, str]]) -> ImageHashes:
    """Return what was known of the pictures when they were packed."""
    return ImageHashes(
        np.arange(len(rows)),
        np.array([row["sha256"] for row in rows]),
        np.array([int(row["dhash"], 16) for row in rows], np.uint64),
        thumbs,
        np.array([row["spread"] for row in rows], np.float32),
        [],
    )


class ImageFile:
    """An .npy file of images that grows by one image at a time and is whole after `finish`."""

    def __init__(self, file: BinaryIO, shape: tuple[int, ...]) -> None:
        """shape: of one image."""
        self.file, self.shape, self.count = file, shape, 0
        self._head()

    def add(self, image: npt.NDArray[np.uint8]) -> None:
        """Append one image."""
        self.file.write(np.ascontiguousarray(image).data)
        self.count += 1

    def finish(self) -> None:
        """Write how many there are into the head, whose length NumPy keeps the same for any number."""
        self.file.seek(0)
        self._head()

    def _head(self) -> None:
        about = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, about)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
