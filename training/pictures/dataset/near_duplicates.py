"""Finds equal files, and near-duplicates by dHash and by the correlation of thumbnails."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from training.pictures.dataset.image_hash import STEP, THUMB
from training.pictures.dataset.linkage import linked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from training.pictures.dataset.image_hash import ImageHashes

Index = npt.NDArray[np.int64]
DISTANCE = 10
"""Maximum Hamming distance of the 64-bit hashes of near-duplicates."""
MAX_DISTANCE = 20
"""A larger distance joins unrelated pictures, and is slow."""
CORRELATION = 0.93
"""Minimum correlation of thumbnails, which ignores brightness, contrast and tint."""
BITS = 64
TILE = 2048
"""Rows compared with as many others at a time."""


def equal_files(table: ImageHashes) -> list[Index]:
    """Return the sets of two or more rows with the same bytes."""
    by_hash = defaultdict(list)
    for row, sha256 in enumerate(table.sha256.tolist()):
        by_hash[sha256].append(row)
    return [np.array(rows) for rows in by_hash.values() if len(rows) > 1]


def near_duplicates(
    table: ImageHashes,
    *,
    distance: int = DISTANCE,
    correlation: float = CORRELATION,
    mirrored: bool = False,
) -> Index:
    """Return the pairs of rows (m, 2) of near-duplicates, without blank ones.

    Equal files count once, by their first row. mirrored: whether mirror images count. Crops are
    found up to about 8 % of a side.
    """
    pairs, _ = _found(table, distance, correlation, mirrored=mirrored)
    return np.unique(pairs, axis=0) if len(pairs) else pairs


def sets(table: ImageHashes, *, distance: int = DISTANCE) -> Index:
    """Return the number of the set of near-duplicates, mirrored ones too, of each row.

    Not every pair is in one set: the larger a set, the closer its pairs (see `linkage`).
    """
    pairs, closeness = _found(table, distance, CORRELATION, mirrored=True)
    return linked(len(table.sha256), pairs, closeness, least=CORRELATION)


def _found(
    table: ImageHashes, distance: int, correlation: float, *, mirrored: bool
) -> tuple[Index, npt.NDArray[np.float32]]:
    """Return the pairs of rows (m, 2) of near-duplicates, some twice, and their correlations."""
    _, first = np.unique(table.sha256, return_index=True)
    rows = np.sort(first[~table.blank[first]])
    hashes, thumbs = table.dhash[rows], _normalised(table.thumbs[rows])
    found = [
        _correlated(thumbs, thumbs, pairs, correlation)
        for pairs in near_pairs(hashes, distance=distance)
    ]
    if mirrored:
        found += _mirrored(table.thumbs[rows], distance, correlation)
    pairs = np.concatenate([np.zeros((0, 2), np.int64), *(pairs for pairs, _ in found)])
    closeness = np.concatenate([np.zeros(0, np.float32), *(values for _, values in found)])
    return rows[pairs], closeness


def _mirrored(
    thumbs: npt.NDArray[np.uint8], distance: int, correlation: float
) -> Iterator[tuple[Index, npt.NDArray[np.float32]]]:
    """Yield the pairs of mirror images, the lower row first, and their correlations."""
    flipped, count = thumbs[:, :, ::-1], len(thumbs)
    here, there = _normalised(thumbs), _normalised(flipped)
    hashes = np.concatenate((_rough_hash(thumbs), _rough_hash(flipped)))
    for pairs in near_pairs(hashes, distance=distance, across=count):
        mirrored = pairs - (0, count)
        mirrored = mirrored[mirrored[:, 0] < mirrored[:, 1]]
        yield _correlated(here, there, mirrored, correlation)


def _rough_hash(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the dHash of thumbnails (n, 8, 8, 3), an approximation that needs no picture."""
    at = np.linspace(0, THUMB - 1, THUMB + 1)
    between = np.maximum(0, 1 - np.abs(at - np.arange(THUMB)[:, None])).astype(np.float32)
    spots = thumbs.mean(axis=3, dtype=np.float32) @ between
    bits = np.packbits(np.diff(spots, axis=2) > STEP, axis=None)
    return bits.view(">u8").astype(np.uint64)


def near_pairs(
    hashes: npt.NDArray[np.uint64], *, distance: int, across: int = 0
) -> Iterator[Index]:
    """Yield batches of all pairs of rows (m, 2) within a Hamming distance, each pair once.

    Of distance + 1 bands of the hash at least one is equal
    (multi-index hashing, M. Norouzi et al., 2012), so only rows that share a band are compared.
    across: if given, only pairs of a row below it and one from it on.
    """
    edges = np.linspace(0, BITS, distance + 2).astype(np.uint64)
    masks, shared = [], []
    for low, high in pairwise(edges):
        masks.append(np.uint64(((1 << int(high - low)) - 1) << int(low)))
        band = hashes & masks[-1]
        order = np.argsort(band, kind="stable")
        shared.append(np.split(order, np.flatnonzero(np.diff(band[order])) + 1))
    if sum(len(rows) ** 2 for alike in shared for rows in alike) > len(hashes) ** 2:
        # Pictures on white share most bands: all are compared once.
        masks, shared = masks[:1], [[np.arange(len(hashes))]]
    for number, alike in enumerate(shared):
        for rows in alike:
            yield from _compare(hashes, rows, distance, masks[:number], across)


def _compare(
    hashes: npt.NDArray[np.uint64],
    rows: Index,
    distance: int,
    before: Sequence[np.uint64],
    across: int,
) -> Iterator[Index]:
    """Yield the pairs of some rows within a distance. before: masks of bands compared already."""
    for left, right in _tiles(rows, across):
        differing = hashes[left, None] ^ hashes[right]
        a, b = np.nonzero(np.bitwise_count(differing) <= distance)
        bits = differing[a, b]
        new = left[a] < right[b]
        for mask in before:
            new &= (bits & mask) != 0
        yield np.stack((left[a[new]], right[b[new]]), axis=1)


def _tiles(rows: Index, across: int) -> Iterator[tuple[Index, Index]]:
    """Yield rows to compare with rows. rows: ascending."""
    lefts, rights = (rows[rows < across], rows[rows >= across]) if across else (rows, rows)
    for i in range(0, len(lefts), TILE):
        for j in range(0 if across else i, len(rights), TILE):
            yield lefts[i : i + TILE], rights[j : j + TILE]


def _normalised(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return thumbnails (n, 192), centred by colour and of norm 1, to be correlated."""
    normalised = thumbs - thumbs.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    rows: npt.NDArray[np.float32] = normalised.reshape(-1, thumbs[0].size if len(thumbs) else 1)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows


def _correlated(
    left: npt.NDArray[np.float32], right: npt.NDArray[np.float32], pairs: Index, correlation: float
) -> tuple[Index, npt.NDArray[np.float32]]:
    """Return the pairs of a left and a right row of at least a correlation, and those of each."""
    values = np.empty(len(pairs), np.float32)
    for i in range(0, len(pairs), TILE):
        first, second = pairs[i : i + TILE].T
        values[i : i + TILE] = np.einsum("ij,ij->i", left[first], right[second])
    alike = values >= correlation
    return pairs[alike], values[alike]


def connected(count: int, pairs: Index) -> Index:
    """Return the connected component of each of `count` rows, by pairs."""
    if not count:
        return np.zeros(0, np.int64)
    links = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def groups(table: ImageHashes, sources: Sequence[str], *, distance: int = DISTANCE) -> Index:
    """Return a group number for each row: rows of a source and near-duplicates share a group.

    sources: of each row; "" is unknown and joins nothing. Near-duplicates: see `sets`.
    """
    by_source = defaultdict(list)
    for row, source in enumerate(sources):
        by_source[source].append(row)
    by_source.pop("", None)
    chains = [np.array(rows) for rows in by_source.values()] + equal_files(table)
    order = np.argsort(number := sets(table, distance=distance), kind="stable")
    chains += np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    pairs = [np.stack((rows[:-1], rows[1:]), axis=1) for rows in chains]
    return connected(len(table.sha256), np.concatenate(pairs))
