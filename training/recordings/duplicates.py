"""Finds identical sound files: they would be in two parts of a split, or have two labels."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from training.recordings.collection import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from training.recordings.collection import Clip

BEGINNING = 1 << 16
"""Bytes that are compared before whole files are read."""


def without_duplicates(clips: Sequence[Clip]) -> tuple[list[Clip], list[Problem]]:
    """Return the clips without duplicate files (byte for byte), and a problem for each of those.

    Of files with the same labels the first by name stays; where the labels differ, none does. The
    same sound in another encoding, or cut elsewhere, is not found.
    """
    annotations: dict[Path, set[tuple[object, ...]]] = defaultdict(set)
    for clip in clips:
        if not clip.inner:
            annotations[clip.path].add((clip.start, clip.end, clip.labels, clip.intervals))
    problems: dict[Path, Problem] = {}
    for first, *others in identical(sorted(annotations)):
        if all(annotations[other] == annotations[first] for other in others):
            problems |= {
                other: Problem(other, f"the same sound as {first}, which is used")
                for other in others
            }
        else:
            pairs = [(first, others[0]), *((other, first) for other in others)]
            why = "the same sound as {}, with other labels: keep the one that is right"
            problems |= {path: Problem(path, why.format(same)) for path, same in pairs}
    return [clip for clip in clips if clip.path not in problems], list(problems.values())


def identical(paths: Iterable[Path]) -> list[list[Path]]:
    """Return groups of two or more files of the same content; few files are read as a whole."""
    groups = [list(paths)]
    for key_of in (_size, _beginning, _whole):
        groups = [part for group in groups for part in _grouped(group, key_of)]
    return groups


def _grouped(paths: list[Path], key_of: Callable[[Path], object]) -> list[list[Path]]:
    groups: dict[object, list[Path]] = defaultdict(list)
    for path in paths:
        groups[key_of(path)].append(path)
    return [group for group in groups.values() if len(group) > 1]


def _size(path: Path) -> int:
    return path.stat().st_size


def _beginning(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BEGINNING)


def _whole(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
