"""Hashes of pictures: sha256, dHash, a tiny thumbnail and the spread of the grey levels."""

from __future__ import annotations

import hashlib
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from common.errors import InputError
from features.config import PictureConfig, Pixels
from features.picture import decode
from training.pictures.dataset.folders import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from training.common.progress import Progress

Given = TypeVar("Given")
Made = TypeVar("Made")
THUMB = 8
"""Side of the thumbnail."""
STEP = 2
"""Grey levels; smaller steps are JPEG noise."""
BLANK = 4.0
"""Standard deviation of grey levels (0 to 255) below which a picture is blank."""
SMALL = PictureConfig(height=64, width=64, fit="squash", resample="box")
"""How pictures are decoded to be hashed."""
MAX_BYTES = 64 * 1024 * 1024
CHUNK = 64
"""Pictures per task of a thread."""


class ImageHash(NamedTuple):
    """The hashes of one picture."""

    sha256: str
    dhash: int
    """64 bits; similar pictures differ in few of them."""
    thumb: Pixels
    """(8, 8, 3)"""
    spread: float
    """Standard deviation of the grey levels, 0 to 127."""


@dataclass(frozen=True)
class ImageHashes:
    """The hashes of many pictures, row by row."""

    rows: npt.NDArray[np.int64]
    """Index of each picture in the list that was hashed; unreadable ones are missing."""
    sha256: npt.NDArray[np.str_]
    dhash: npt.NDArray[np.uint64]
    thumbs: Pixels
    """(n, 8, 8, 3)"""
    spread: npt.NDArray[np.float32]
    problems: list[Problem]

    @property
    def blank(self) -> npt.NDArray[np.bool_]:
        """Whether each row is blank, (n,)."""
        return self.spread < BLANK


def hash_image(data: bytes) -> ImageHash:
    """Return the hashes of a file. Raises InputError if it is not a picture, or too large."""
    return hash_pixels(decode(data, SMALL), data)


def hash_pixels(pixels: Pixels, data: bytes) -> ImageHash:
    """Return the hashes of a decoded picture of any shape; sha256 is that of `data`.

    dhash: whether each of 8 x 8 spots is darker than its right neighbour (N. Krawetz, "Kind of like
    that", 2013).
    """
    picture = Image.fromarray(pixels)
    grey = picture.convert("L")
    spots = np.asarray(grey.resize((THUMB + 1, THUMB), Image.Resampling.BOX), np.int16)
    bits = np.packbits(spots[:, 1:] - spots[:, :-1] > STEP).tobytes()
    # A copy: Pillow's bytes are part of a block of 64 kB, which would be kept.
    thumb = np.array(picture.resize((THUMB, THUMB), Image.Resampling.BOX))
    return ImageHash(
        hashlib.sha256(data).hexdigest(),
        int.from_bytes(bits, "big"),
        thumb,
        float(np.asarray(grey).std()),
    )


def read_file(path: Path) -> bytes:
    """Return a file's bytes. Raises InputError when it is empty, gone, or larger than 64 MB."""
    try:
        size = path.stat().st_size
        if not 0 < size <= MAX_BYTES:
            raise InputError(
                "an empty file" if not size else f"{size:,} bytes; at most {MAX_BYTES:,} are read"
            )
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be opened: {error.strerror}") from error


def hash_files(
    root: Path, paths: Sequence[str], *, jobs: int = 2, progress: Progress
) -> ImageHashes:
    """Return the hashes of all readable files, and the problems of the others."""

    def hash_or_problem(path: str) -> ImageHash | Problem:
        try:
            return hash_image(read_file(root / path))
        except InputError as error:
            return Problem(path, str(error))

    rows, known, problems = [], [], []
    for i, one in enumerate(map_in_threads(hash_or_problem, paths, jobs=jobs)):
        if isinstance(one, Problem):
            problems.append(one)
        else:
            rows.append(i)
            known.append(one)
        if i % CHUNK == 0 or i + 1 == len(paths):
            progress(i + 1, len(paths))
    return ImageHashes(
        np.array(rows, np.int64),
        np.array([one.sha256 for one in known], "U64"),
        np.array([one.dhash for one in known], np.uint64),
        np.array([one.thumb for one in known], np.uint8).reshape(-1, THUMB, THUMB, 3),
        np.array([one.spread for one in known], np.float32),
        problems,
    )


def map_in_threads(
    work: Callable[[Given], Made], items: Sequence[Given], *, jobs: int, chunk: int = CHUNK
) -> Iterator[Made]:
    """Yield work(item) for all items in order, from threads that are a few chunks ahead."""

    def some(first: int) -> list[Made]:
        return [work(item) for item in items[first : first + chunk]]

    ahead: deque[Future[list[Made]]] = deque()
    with ThreadPoolExecutor(jobs) as threads:
        for first in range(0, len(items), chunk):
            ahead.append(threads.submit(some, first))
            if len(ahead) > 2 * jobs:
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()
