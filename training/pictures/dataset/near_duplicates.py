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
    _, first = np.unique(table.sha256, return_index=True)
    rows = np.sort(first[~table.blank[first]])
    hashes, thumbs = table.dhash[rows], _normalised(table.thumbs[rows])
    kept = [
        pairs[_correlated(thumbs, thumbs, pairs, correlation)]
        for pairs in near_pairs(hashes, distance=distance)
    ]
    if mirrored:
        kept += _mirrored(table.thumbs[rows], distance, correlation)
    pairs: Index = np.concatenate([*kept, np.zeros((0, 2), np.int64)])
    return np.unique(rows[pairs], axis=0) if len(pairs) else pairs


def _mirrored(thumbs: npt.NDArray[np.uint8], distance: int, correlation: float) -> Iterator[Index]:
    """Yield the pairs of mirror images, the lower row first."""
    flipped, count = thumbs[:, :, ::-1], len(thumbs)
    here, there = _normalised(thumbs), _normalised(flipped)
    hashes = np.concatenate((_rough_hash(thumbs), _rough_hash(flipped)))
    for pairs in near_pairs(hashes, distance=distance):
        across = pairs[(pairs[:, 0] < count) & (pairs[:, 1] >= count)] - (0, count)
        across = across[across[:, 0] < across[:, 1]]
        yield across[_correlated(here, there, across, correlation)]


def _rough_hash(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Return the dHash of thumbnails (n, 8, 8, 3), an approximation that needs no picture."""
    at = np.linspace(0, THUMB - 1, THUMB + 1)
    between = np.maximum(0, 1 - np.abs(at - np.arange(THUMB)[:, None])).astype(np.float32)
    spots = thumbs.mean(axis=3, dtype=np.float32) @ between
    bits = np.packbits(np.diff(spots, axis=2) > STEP, axis=None)
    return bits.view(">u8").astype(np.uint64)


def near_pairs(hashes: npt.NDArray[np.uint64], *, distance: int) -> Iterator[Index]:
    """Yield batches of all pairs of rows (m, 2) within a Hamming distance, some pairs twice.

    Of distance + 1 bands of the hash at least one is equal
    (multi-index hashing, M. Norouzi et al., 2012), so only rows that share a band are compared.
    """
    edges = np.linspace(0, BITS, distance + 2).astype(np.uint64)
    for low, high in pairwise(edges):
        band = (hashes >> low) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(band[order])) + 1):
            yield from _compare(hashes, rows, distance)


def _compare(hashes: npt.NDArray[np.uint64], rows: Index, distance: int) -> Iterator[Index]:
    for i in range(0, len(rows), TILE):
        for j in range(i, len(rows), TILE):
            left, right = rows[i : i + TILE], rows[j : j + TILE]
            differing = np.bitwise_count(hashes[left, None] ^ hashes[right])
            a, b = np.nonzero(differing <= distance)
            pairs = np.stack((left[a], right[b]), axis=1)
            yield pairs[pairs[:, 0] < pairs[:, 1]] if i == j else np.sort(pairs, axis=1)


def _normalised(thumbs: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return thumbnails (n, 192), centred by colour and of norm 1, to be correlated."""
    normalised = thumbs - thumbs.mean(axis=(1, 2), keepdims=True, dtype=np.float32)
    rows: npt.NDArray[np.float32] = normalised.reshape(-1, thumbs[0].size if len(thumbs) else 1)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
    return rows


def _correlated(
    left: npt.NDArray[np.float32], right: npt.NDArray[np.float32], pairs: Index, correlation: float
) -> npt.NDArray[np.bool_]:
    """Return which pairs of a left and a right row have at least this correlation."""
    alike = np.zeros(len(pairs), bool)
    for i in range(0, len(pairs), TILE):
        first, second = pairs[i : i + TILE].T
        alike[i : i + TILE] = np.einsum("ij,ij->i", left[first], right[second]) >= correlation
    return alike


def connected(count: int, pairs: Index) -> Index:
    """Return the connected component of each of `count` rows, by pairs."""
    if not count:
        return np.zeros(0, np.int64)
    links = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (count, count))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def groups(
    table: ImageHashes, sources: Sequence[str], *, distance: int = DISTANCE, mirrored: bool = False
) -> Index:
    """Return a group number for each row: rows of a source and near-duplicates share a group.

    sources: of each row; "" is unknown and joins nothing. mirrored: see `near_duplicates`.
    """
    by_source = defaultdict(list)
    for row, source in enumerate(sources):
        by_source[source].append(row)
    by_source.pop("", None)
    chains = [np.array(rows) for rows in by_source.values()] + equal_files(table)
    pairs = [np.stack((rows[:-1], rows[1:]), axis=1) for rows in chains]
    pairs.append(near_duplicates(table, distance=distance, mirrored=mirrored))
    return connected(len(table.sha256), np.concatenate(pairs))
