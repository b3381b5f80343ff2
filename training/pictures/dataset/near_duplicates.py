"""Finds equal files, and near-duplicates by dHash and by the correlation of thumbnails."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from training.pictures.dataset.image_hash import STEP, THUMB
from training.pictures.dataset.linkage import Closeness, Linkage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from training.pictures.dataset.image_hash import ImageHashes

Index = npt.NDArray[np.int64]
DISTANCE = 10
"""Maximum Hamming distance of the 64-bit hashes of near-duplicates."""
MAX_DISTANCE = 20
"""A larger distance joins unrelated pictures, and is slow."""
CORRELATION = 0.93
"""Minimum correlation of thumbnails, which ignores brightness, contrast and tint."""
BITS = 64
TILE = 1024
"""Rows compared with as many others at a time."""
SPARSE = 64
"""Of fewer pairs than one in so many, each is correlated by itself."""
MOST = 1 << 20
"""Pairs kept at a time, to be joined."""


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
    rows, views = _views(table, mirrored=mirrored)
    found = [pairs for view in views for pairs, _ in _close(view, distance, lambda: correlation)]
    pairs: Index = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *found]), axis=0)
    return np.asarray(rows[pairs], np.int64)


def sets(table: ImageHashes, *, distance: int = DISTANCE) -> Index:
    """Return the number of the set of near-duplicates, mirrored ones too, of each row.

    Not every pair is in one set: the larger a set, the closer its pairs (see `linkage`).
    """
    linkage = Linkage(len(table.sha256), least=CORRELATION)
    rows, views = _views(table, mirrored=True)
    while True:
        # Of pictures that look alike nearly all pairs are near: only the closest are kept.
        kept = _Closest(least=CORRELATION)
        for view in views:
            for pairs, closeness in _close(view, distance, kept.least):
                joins = linkage.may_join(rows[pairs], closeness)
                kept.add(rows[pairs[joins]], closeness[joins])
        linkage.join(*kept.all())
        if kept.complete:
            return linkage.sets()


class _Closest:
    """The closest pairs (m, 2) of those added, about MOST."""

    def __init__(self, *, least: float) -> None:
        self.complete = True
        """Whether none was left out."""
        self._least = least
        self._pairs = [np.zeros((0, 2), np.int64)]
        self._closeness = [np.zeros(0, np.float32)]
        self._count = 0

    def least(self) -> float:
        """Return the closeness below which pairs are of no use now."""
        return self._least

    def add(self, pairs: Index, closeness: Closeness) -> None:
        self._pairs.append(pairs)
        self._closeness.append(closeness)
        self._count += len(pairs)
        if self._count > MOST:
            pairs, closeness = self.all()
            best = np.argpartition(-closeness, MOST // 2)[: MOST // 2]
            self._pairs, self._closeness = [pairs[best]], [closeness[best]]
            self._count, self.complete = len(best), False
            self._least = float(closeness[best].min())

    def all(self) -> tuple[Index, Closeness]:
        return np.concatenate(self._pairs), np.concatenate(self._closeness)


class _View(NamedTuple):
    """Rows to compare with rows: their hashes, and the thumbnails of each side."""

    hashes: npt.NDArray[np.uint64]
    left: npt.NDArray[np.float32]
    right: npt.NDArray[np.float32]
    across: int = 0
    """If given, hashes from it on are of the right side."""


def _views(table: ImageHashes, *, mirrored: bool) -> tuple[Index, list[_View]]:
    """Return the rows of pictures, and what is compared: all with all, then with mirror images."""
    _, first = np.unique(table.sha256, return_index=True)
    rows = np.sort(first[~table.blank[first]])
    thumbs = table.thumbs[rows]
    here = _normalised(thumbs)
    views = [_View(table.dhash[rows], here, here)]
    if mirrored:
        flipped = thumbs[:, :, ::-1]
        hashes = np.concatenate((_rough_hash(thumbs), _rough_hash(flipped)))
        views.append(_View(hashes, here, _normalised(flipped), len(rows)))
    return rows, views


def _close(
    view: _View, distance: int, least: Callable[[], float]
) -> Iterator[tuple[Index, Closeness]]:
    """Yield pairs (m, 2) within a distance that correlate at least so much, the lower row first."""
    for left, there, tile in _near_tiles(view.hashes, distance, view.across):
        right = there - view.across
        near = tile & (left[:, None] < right)
        if not near.any():
            continue
        if np.count_nonzero(near) * SPARSE < near.size:
            a, b = np.nonzero(near)
            values = np.einsum("ij,ij->i", view.left[left[a]], view.right[right[b]])
            wanted = values >= least()
            a, b, values = a[wanted], b[wanted], values[wanted]
        else:
            every = view.left[left] @ view.right[right].T
            a, b = np.nonzero(near & (every >= least()))
            values = every[a, b]
        yield np.stack((left[a], right[b]), axis=1), values


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
    for left, right, near in _near_tiles(hashes, distance, across):
        a, b = np.nonzero(near)
        yield np.stack((left[a], right[b]), axis=1)


def _near_tiles(
    hashes: npt.NDArray[np.uint64], distance: int, across: int
) -> Iterator[tuple[Index, Index, npt.NDArray[np.bool_]]]:
    """Yield rows, others, and which pairs of these (rows, others) are new and near."""
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
) -> Iterator[tuple[Index, Index, npt.NDArray[np.bool_]]]:
    """Yield tiles of some rows. before: masks of bands that were compared already."""
    for left, right in _tiles(rows, across):
        differing = hashes[left, None] ^ hashes[right]
        near = (np.bitwise_count(differing) <= distance) & (left[:, None] < right)
        if before:
            a, b = np.nonzero(near)
            bits = differing[a, b]
            for mask in before:
                near[a, b] &= (bits & mask) != 0
        yield left, right, near


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
