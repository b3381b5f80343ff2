"""Packs: the pictures of a folder as one memory-mapped array, with labels and an index.

images.npy    uint8 (n, height, width, 3)
labels.npy    int32 (n,), indices of the classes
classes.json  the names of the classes
thumbs.npy    uint8 (n, 8, 8, 3), to find near-duplicates
index.csv     of each row: path, label, source, part, metadata, sha256, dhash, spread
problems.csv  files that were left out, and the reasons
pack.json     settings
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
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
"""Raised whenever the layout changes."""
COLUMNS = ("path", "label", "source", "part")


@dataclass(frozen=True)
class Pack:
    """An opened pack; the images are memory-mapped."""

    images: npt.NDArray[np.uint8]
    """(n, height, width, 3)"""
    labels: npt.NDArray[np.int32]
    classes: list[str]
    pictures: list[Picture]
    table: ImageHashes
    about: dict[str, Any]
    parts: list[str] = field(default_factory=list)
    """train, valid or test of each picture, or "", as its folders have it."""
    unread: list[str] = field(default_factory=list)
    """Paths of files that were left out."""
    root: Path | None = None
    """The folder of the pictures, if it is known."""


def is_pack(folder: Path) -> bool:
    """Return whether the folder is a pack rather than pictures."""
    return (folder / "pack.json").is_file()


def open_pack(folder: Path) -> Pack:
    """Return the pack of a folder. Raises MaterialError for an invalid pack or layout."""
    if not is_pack(folder):
        raise MaterialError(f"{folder} is not a pack: make one with `timbre data pack`")
    try:
        about = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
        if about["layout"] != LAYOUT:
            raise MaterialError(
                f"{folder} has layout {about['layout']}, not {LAYOUT}: pack it again"
            )
        images = np.load(folder / "images.npy", mmap_mode="r")
        labels, thumbs = np.load(folder / "labels.npy"), np.load(folder / "thumbs.npy")
        classes = json.loads((folder / "classes.json").read_text(encoding="utf-8"))
        with (folder / "index.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        with (folder / "problems.csv").open(encoding="utf-8", newline="") as file:
            unread = [row["path"] for row in csv.DictReader(file)]
    except (OSError, ValueError, KeyError) as error:
        raise MaterialError(f"{folder} is not a complete pack: {error}") from error
    if not len(images) == len(labels) == len(rows):
        raise MaterialError(
            f"{folder}: {len(images)} images, {len(labels)} labels and {len(rows)} index rows "
            "differ"
        )
    named = about["metadata"]
    pictures = [
        Picture(row["path"], row["label"], row["source"], tuple(row[name] for name in named))
        for row in rows
    ]
    # Packs of earlier versions have no such column.
    parts = [row.get("part") or "" for row in rows]
    return Pack(images, labels, classes, pictures, _table(thumbs, rows), about, parts, unread)


def _table(thumbs: npt.NDArray[np.uint8], rows: list[dict[str, str]]) -> ImageHashes:
    """Return the hashes from when the pictures were packed."""
    return ImageHashes(
        np.arange(len(rows)),
        np.array([row["sha256"] for row in rows]),
        np.array([int(row["dhash"], 16) for row in rows], np.uint64),
        thumbs,
        np.array([row["spread"] for row in rows], np.float32),
        [],
    )


class ImageFile:
    """An .npy file that grows image by image and is valid after `finish`."""

    def __init__(self, file: BinaryIO, shape: tuple[int, ...]) -> None:
        """shape: of one image."""
        self.file, self.shape, self.count = file, shape, 0
        self._write_header()

    def add(self, image: npt.NDArray[np.uint8]) -> None:
        """Append one image."""
        self.file.write(np.ascontiguousarray(image).data)
        self.count += 1

    def finish(self) -> None:
        """Write the number of images into the header, whose length does not depend on it."""
        self.file.seek(0)
        self._write_header()

    def _write_header(self) -> None:
        about = {"descr": "|u1", "fortran_order": False, "shape": (self.count, *self.shape)}
        np.lib.format.write_array_header_1_0(self.file, about)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file; what is not UTF-8 in a name is escaped."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
