"""Compiled: trees whose random choices depend on a node's path alone, scored under all limits.

A node draws its features from a key made of the tree's seed and the turns from the root to it. So a
node splits in the same way whatever became of the nodes beside it, and a tree cut at a depth or a
node size *is* the tree that grows under that limit, bit for bit. Splits are those of CART: among
features drawn at random, the threshold of the lowest summed impurity, at the middle between two
neighbouring values (Breiman, "Random Forests", 2001).

Values of a feature are replaced by their ranks, so that sorting is counting; Gini impurities come
from whole counts, and entropies are summed over the sorted rows, whose order the node's path fixes;
probabilities are added in fixed point, so that what one cut adds another takes away exactly.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import numpy as np
from numba import njit

GINI, ENTROPY = 0, 1
SHORT = 48
"""Below this length, insertion sorts faster than counting."""

jit = njit(nogil=True, cache=True, error_model="numpy")
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_OWN = np.uint64(0x5851F42D4C957F2D)
_LOW = np.uint64(0xFFFFFFFF)
_32 = np.uint64(32)
_BYTE = np.uint64(255)


@jit
def mix(key):
    """Return 64 bits that look random (splitmix64, Steele, Lea and Flood 2014)."""
    z = key + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@jit
def seed_of(forest, i):
    """Return the seed of tree `i` of a forest."""
    return mix(mix(np.uint64(forest)) ^ np.uint64(i))


@jit
def _below(key, i, limit):
    """Return draw `i` of a key, a number in 0..limit-1."""
    bits = mix(key + np.uint64(i) * _GOLDEN) >> _32
    return np.int64((bits * np.uint64(limit)) >> _32)


@jit
def _sort(keys, spare, m, passes, counters):
    """Sort keys of rank << 32 | row by rank; rows of equal rank keep their order."""
    if m < SHORT:
        for i in range(1, m):
            key = keys[i]
            j = i
            while j > 0 and (keys[j - 1] >> _32) > (key >> _32):
                keys[j] = keys[j - 1]
                j -= 1
            keys[j] = key
        return keys, spare
    for step in range(passes):
        shift = np.uint64(32 + 8 * step)
        counters[:] = 0
        for i in range(m):
            counters[(keys[i] >> shift) & _BYTE] += 1
        at = 0
        for b in range(256):
            at, counters[b] = at + counters[b], at
        for i in range(m):
            b = (keys[i] >> shift) & _BYTE
            spare[counters[b]] = keys[i]
            counters[b] += 1
        keys, spare = spare, keys
    return keys, spare


@jit
def _scan_gini(keys, m, total, smallest, rows, totals, left):
    """Return the best (score, index of the last row to the left).

    score: summed squares over sizes, to be maximised.
    """
    weights, starts, columns, _ = rows
    squares_left, squares_right = np.int64(0), np.int64(0)
    for c in range(len(totals)):
        left[c] = 0
        squares_right += totals[c] * totals[c]
    best, at, size = -np.inf, -1, np.int64(0)
    for i in range(m - smallest):
        row = np.int64(keys[i] & _LOW)
        w = np.int64(weights[row])
        for q in range(starts[row], starts[row + 1]):
            c = columns[q]
            squares_left += w * (2 * left[c] + w)
            squares_right -= w * (2 * (totals[c] - left[c]) - w)
            left[c] += w
        size += w
        if (keys[i] >> _32) != (keys[i + 1] >> _32) and i + 1 >= smallest:
            score = squares_left / size + squares_right / (total - size)
            if score > best:
                best, at = score, i
    return best, at


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc"})  # else no sum uses vectors
def _scan_entropy(keys, m, total, smallest, binary, rows, totals, left):
    """Return the best (score, index of the last row to the left).

    score: -n times the entropy of both sides, to be maximised.
    """
    weights, starts, columns, logs = rows
    outputs = len(totals) if binary else 1
    there = 0.0
    for c in range(len(totals)):
        left[c] = 0
        there += logs[totals[c]]
    best, at, size = -np.inf, -1, np.int64(0)
    for i in range(m - smallest):
        row = np.int64(keys[i] & _LOW)
        w = np.int64(weights[row])
        size += w
        for q in range(starts[row], starts[row + 1]):
            c = columns[q]
            before, after = left[c], left[c] + w
            there += logs[after] - logs[before] + logs[totals[c] - after] - logs[totals[c] - before]
            left[c] = after
        if (keys[i] >> _32) != (keys[i + 1] >> _32) and i + 1 >= smallest:
            rest = total - size
            score = there - outputs * (logs[size] + logs[rest])
            if binary:
                for c in range(len(totals)):
                    score += logs[size - left[c]] + logs[rest - totals[c] + left[c]]
            if score > best:
                best, at = score, i
    return best, at


@jit
def _fill(keys, order, start, m, column):
    """Write rank << 32 | row of each row of the node; return the lowest and the highest rank."""
    lowest, highest = column[order[start]], column[order[start]]
    for i in range(m):
        row = order[start + i]
        rank = column[row]
        lowest, highest = min(lowest, rank), max(highest, rank)
        keys[i] = np.uint64(rank) << _32 | np.uint64(row)
    return lowest, highest


@jit
def _best_split(order, start, m, key, settings, ranks, rows, totals, total, scratch):
    """Return (feature, rank to the left, next rank) of the split of a node; feature -1: none.

    The node has m rows of `order` from `start` on.

    At least one feature that is not constant is tried, as in scikit-learn.
    """
    criterion, binary, wanted, smallest, passes = settings
    keys, spare, counters, left, features = scratch
    best, found, low, high, varied = -np.inf, -1, np.int64(0), np.int64(0), 0
    for i in range(len(features)):
        features[i] = i
    for visited in range(len(features)):
        if visited >= wanted and varied:
            break
        j = visited + _below(key ^ _OWN, visited, len(features) - visited)
        features[visited], features[j] = features[j], features[visited]
        lowest, highest = _fill(keys, order, start, m, ranks[features[visited]])
        if lowest == highest:
            continue
        varied += 1
        keys, spare = _sort(keys, spare, m, passes, counters)
        if criterion == GINI:
            score, at = _scan_gini(keys, m, total, smallest, rows, totals, left)
        else:
            score, at = _scan_entropy(keys, m, total, smallest, binary, rows, totals, left)
        if at >= 0 and score > best:
            best, found = score, features[visited]
            low, high = np.int64(keys[at] >> _32), np.int64(keys[at + 1] >> _32)
    return found, low, high


@jit
def _partition(order, start, m, column, limit, spare):
    """Move the rows of rank at most `limit` to the front, in their order; return their number."""
    low = rest = 0
    for i in range(start, start + m):
        row = order[i]
        if column[row] <= limit:
            order[start + low] = row
            low += 1
        else:
            spare[rest] = row
            rest += 1
    for i in range(rest):
        order[start + low + i] = np.int64(spare[i])
    return low


@jit
def _count(order, start, m, rows, totals):
    """Count the columns of a node's rows into `totals`; return the weight of the rows."""
    weights, starts, columns = rows[0], rows[1], rows[2]
    total = np.int64(0)
    totals[:] = 0
    for i in range(start, start + m):
        row = order[i]
        total += weights[row]
        for q in range(starts[row], starts[row + 1]):
            totals[columns[q]] += weights[row]
    return total


@jit
def bootstrap(seed, draws, weights, order):
    """Draw rows with replacement into `weights` (0 draws: every row once); return their number."""
    weights[:] = draws == 0
    for i in range(draws):
        weights[_below(seed, i, len(weights))] += 1
    m = 0
    for row in range(len(weights)):
        if weights[row]:
            order[m] = row
            m += 1
    return m


@jit
def grow(seed, draws, limits, settings, ranks, levels, rows, scratch, tree, one):
    """Grow a tree into the arrays of `tree` and return its depth.

    limits: fewest rows that split, deepest level that splits no more. one: the value for
    probability 1. Children stand side by side; `left` is -1 at a leaf; `size` counts different
    rows, as scikit-learn's does.
    """
    feature, threshold, left, size, level, start, keys, value, order, totals = tree
    size[0], level[0], start[0], keys[0] = (
        bootstrap(seed, draws, rows[0], order),
        0,
        0,
        mix(seed ^ _OWN),
    )
    nodes, at, deepest = 1, 0, 0
    while at < nodes:
        m, begin = size[at], start[at]
        total = _count(order, begin, m, rows, totals)
        impure = False
        for c in range(len(totals)):
            value[at, c] = (2 * totals[c] * one + total) // (2 * total)
            impure |= 0 < totals[c] < total
        left[at], deepest = -1, max(deepest, level[at])
        if impure and m >= max(limits[0], 2 * settings[3]) and level[at] < limits[1]:
            f, low, high = _best_split(
                order, begin, m, keys[at], settings, ranks, rows, totals, total, scratch
            )
            if f >= 0:
                feature[at], left[at] = f, nodes
                threshold[at] = levels[f, low] / 2 + levels[f, high] / 2
                size[nodes] = _partition(order, begin, m, ranks[f], low, scratch[1])
                size[nodes + 1], start[nodes], start[nodes + 1] = (
                    m - size[nodes],
                    begin,
                    begin + size[nodes],
                )
                for side in range(2):
                    keys[nodes + side] = mix(keys[at] + np.uint64(side + 1))
                    level[nodes + side] = level[at] + 1
                nodes += 2
        at += 1
    return deepest


@jit
def walk(table, tree, depths, smallest, path, sums):
    """Add to `sums` the value of every row under all limits of a tree, in one walk from the root.

    table: float32 (n, features). depths, smallest: the cuts, ascending. sums: int32 (n, smallest,
    depths, columns), each depth as the difference from the one before it.
    """
    feature, threshold, left, size, value = tree[0], tree[1], tree[2], tree[3], tree[7]
    for i in range(len(table)):
        at = end = path[0] = 0
        while left[at] >= 0:
            at = left[at] + (table[i, feature[at]] > threshold[at])
            end += 1
            path[end] = at
        for s in range(len(smallest) - 1, -1, -1):
            stop = end
            while stop > 0 and size[path[stop - 1]] < smallest[s]:
                stop -= 1
            last = path[min(depths[0], stop)]
            for c in range(value.shape[1]):
                sums[i, s, 0, c] += value[last, c]
            for d in range(1, len(depths)):
                if depths[d - 1] >= stop:
                    break
                here = path[min(depths[d], stop)]
                for c in range(value.shape[1]):
                    sums[i, s, d, c] += value[here, c] - value[last, c]
                last = here
