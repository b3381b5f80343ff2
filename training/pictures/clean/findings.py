"""Scans a folder of pictures for duplicates, blank or unreadable files and suspect labels."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from common.errors import InputError
from features.picture import decode
from training.pictures.clean.suspect_labels import CONFIG, describe, find_suspect_labels
from training.pictures.dataset import image_hash, near_duplicates

if TYPE_CHECKING:
    from collections.abc import Iterator

    from training.common.progress import Progress, Stage
    from training.pictures.dataset.folders import Listing

KINDS = ("equal", "near", "blank", "unreadable", "label")


class Finding(NamedTuple):
    """A problem of one picture, or of a set of pictures."""

    kind: str
    """One of `KINDS`."""
    pictures: tuple[int, ...]
    """Indices of the pictures."""
    why: str
    suggested: str = ""
    """A more likely label."""


@dataclass(frozen=True)
class ScanResult:
    """All pictures of a folder, and the findings."""

    found: Listing
    findings: list[Finding]
    accuracy: float | None
    """Share of held-out pictures whose label the models predict; None without any."""

    def counts(self) -> Counter[str]:
        """Return the number of findings of each kind."""
        return Counter(finding.kind for finding in self.findings)


def scan(
    found: Listing,
    *,
    distance: int = near_duplicates.DISTANCE,
    seed: int = 1,
    jobs: int = 2,
    stage: Stage,
) -> ScanResult:
    """Return all findings of a listing. distance: bits in which near-duplicates may differ."""
    paths = [picture.path for picture in found.pictures]
    numbers = {path: i for i, path in enumerate(paths)}
    with stage(f"hash {len(paths):,} pictures") as progress:
        table = image_hash.hash_files(found.root, paths, jobs=jobs, progress=progress)
    findings = [
        Finding("unreadable", (numbers[problem.path],), problem.reason)
        for problem in table.problems
    ]
    with stage("find duplicates"):
        findings += _duplicates(table, distance)
        findings += [
            Finding("blank", (int(table.rows[i]),), "nearly one colour")
            for i in np.flatnonzero(table.blank)
        ]
    suspects, accuracy = _labels(found, table, distance=distance, seed=seed, jobs=jobs, stage=stage)
    return ScanResult(found, findings + suspects, accuracy)


def _duplicates(table: image_hash.ImageHashes, distance: int) -> Iterator[Finding]:
    for rows in near_duplicates.equal_files(table):
        yield Finding("equal", tuple(table.rows[rows].tolist()), "the same file")
    group = near_duplicates.sets(table, distance=distance)
    order = np.argsort(group, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if len(rows) > 1:
            yield Finding("near", tuple(table.rows[rows].tolist()), "nearly the same")


def _labels(
    found: Listing,
    table: image_hash.ImageHashes,
    *,
    distance: int,
    seed: int,
    jobs: int,
    stage: Stage,
) -> tuple[list[Finding], float | None]:
    rows = table.rows[~table.blank]
    if not len(rows):
        return [], None
    with stage("describe the pictures") as progress:
        described = _described(found, rows.tolist(), jobs, progress)
    labels = [found.pictures[row].label for row in rows]
    sources = [found.pictures[row].source for row in table.rows]
    group = near_duplicates.groups(table, sources, distance=distance)[~table.blank]
    with stage("find suspect labels") as progress:
        suspects = find_suspect_labels(described, labels, group, seed=seed, progress=progress)
    names, findings = sorted(set(labels)), []
    for suspect in suspects.found:
        suggested = names[suspect.suggested]
        label = labels[suspect.row]
        why = f"looks like {suggested}, not {label} (its own label scores {suspect.given:.1%})"
        findings.append(Finding("label", (int(rows[suspect.row]),), why, suggested))
    return findings, suspects.accuracy


def _described(
    found: Listing, rows: list[int], jobs: int, progress: Progress
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    def of(row: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        try:
            return describe(
                decode(image_hash.read_file(found.root / found.pictures[row].path), CONFIG)
            )
        # It was readable before: the folder has changed in the meantime.
        except InputError:
            return np.zeros(320, np.float32)

    described = np.empty((len(rows), 320), np.float32)
    for i, numbers in enumerate(image_hash.map_in_threads(of, rows, jobs=jobs)):
        described[i] = numbers
        if i % image_hash.CHUNK == 0 or i + 1 == len(rows):
            progress(i + 1, len(rows))
    return described
