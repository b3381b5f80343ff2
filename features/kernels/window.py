"""Compiled measures of a window, made from the rows of its frames: tuning, chroma, means."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import numpy as np

from features.kernels.arrays import doubles, floats, integers, octets, room
from features.kernels.layout import (
    BINS,
    CHROMA,
    COUNT_AT,
    HALF,
    HEIGHTS_AT,
    LANES,
    PEAKS,
    POWER_AT,
    STATS_AT,
    TUNED_AT,
    TUNINGS_AT,
)
from features.kernels.simd import fma8, lane, load32, splat32
from features.kernels.transform import jit

TILE = 4
"""Rows whose chroma is computed together."""


@jit
def _select(values, size, k):
    """Reorder `values[:size]` so that the k-th smallest is at k (Hoare's quickselect)."""
    low, high = 0, size - 1
    while low < high:
        pivot = values[(low + high) // 2]
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k <= j:
            high = j
        elif k >= i:
            low = i
        else:
            return


@jit
def median(values, size):
    """Median in float32, as numpy gives it."""
    middle = size // 2
    _select(values, size, middle)
    if size % 2:
        return values[middle]
    below = values[0]
    for i in range(1, middle):
        below = max(below, values[i])
    return np.float32((below + values[middle]) / np.float32(2))


@jit
def tuning_bin(rows, scratch):
    """Return the histogram bin of the tuning (librosa `estimate_tuning`); 50 (0.0) without peaks.

    scratch: room for all peaks.
    """
    size = 0
    for row in rows:
        heights = floats(row + HEIGHTS_AT, PEAKS)
        for i in range(integers(row + COUNT_AT, 1)[0]):
            scratch[size] = heights[i]
            size += 1
    if size == 0:
        return 50
    threshold = median(scratch, size)
    histogram = integers(room(8 * 100), 100)
    histogram[:] = 0
    for row in rows:
        heights, tunings = floats(row + HEIGHTS_AT, PEAKS), octets(row + TUNINGS_AT, PEAKS)
        for i in range(integers(row + COUNT_AT, 1)[0]):
            if heights[i] >= threshold:
                histogram[tunings[i]] += 1
    return _fullest(histogram)


@jit
def _fullest(histogram):
    """Return the first of the largest."""
    best = 0
    for i in range(1, histogram.size):
        if histogram[i] > histogram[best]:
            best = i
    return best


@jit
def _sum8(value):
    total = np.float32(0)
    for i in range(LANES):
        total += lane(value, i)
    return total


@jit
def _chroma(rows, bank, sums):
    """Write 12 chroma values of each of `TILE` rows to `sums`, three at a time.

    So a weight is loaded once for four rows: the bank is larger than the nearest cache.
    """
    p0, p1 = floats(rows[0] + POWER_AT, BINS), floats(rows[1] + POWER_AT, BINS)
    p2, p3 = floats(rows[2] + POWER_AT, BINS), floats(rows[3] + POWER_AT, BINS)
    zero = splat32(np.float32(0))
    for c in range(0, 12, 3):
        b0, b1, b2 = c * BINS, (c + 1) * BINS, (c + 2) * BINS
        s00 = s01 = s02 = s10 = s11 = s12 = s20 = s21 = s22 = s30 = s31 = s32 = zero
        for k in range(0, HALF, LANES):
            w0, w1, w2 = load32(bank, b0 + k), load32(bank, b1 + k), load32(bank, b2 + k)
            p = load32(p0, k)
            s00, s01, s02 = fma8(p, w0, s00), fma8(p, w1, s01), fma8(p, w2, s02)
            p = load32(p1, k)
            s10, s11, s12 = fma8(p, w0, s10), fma8(p, w1, s11), fma8(p, w2, s12)
            p = load32(p2, k)
            s20, s21, s22 = fma8(p, w0, s20), fma8(p, w1, s21), fma8(p, w2, s22)
            p = load32(p3, k)
            s30, s31, s32 = fma8(p, w0, s30), fma8(p, w1, s31), fma8(p, w2, s32)
        sums[c], sums[c + 1], sums[c + 2] = _sum8(s00), _sum8(s01), _sum8(s02)
        sums[12 + c], sums[13 + c], sums[14 + c] = _sum8(s10), _sum8(s11), _sum8(s12)
        sums[24 + c], sums[25 + c], sums[26 + c] = _sum8(s20), _sum8(s21), _sum8(s22)
        sums[36 + c], sums[37 + c], sums[38 + c] = _sum8(s30), _sum8(s31), _sum8(s32)
    for c in range(12):
        weight = bank[c, HALF]
        sums[c] += p0[HALF] * weight
        sums[12 + c] += p1[HALF] * weight
        sums[24 + c] += p2[HALF] * weight
        sums[36 + c] += p3[HALF] * weight


@jit
def _mean_chroma(sums, begin):
    """Mean of one frame's 12 chroma values, scaled to a maximum of 1."""
    largest = np.float32(0)
    for c in range(begin, begin + 12):
        largest = max(largest, sums[c])
    if largest < np.finfo(np.float32).tiny:
        largest = np.float32(1)
    total = 0.0
    for c in range(begin, begin + 12):
        total += sums[c] / largest
    return total / 12


@jit
def _tune(rows, tuning, bank):
    """Bring the chroma of the rows to the bank of `tuning`, where it is of another."""
    sums, tile = floats(room(4 * 48), 12 * TILE), integers(room(8 * 4), TILE)
    count = 0
    for at in range(rows.size):
        if integers(rows[at] + TUNED_AT, 1)[0] != tuning:
            tile[count] = rows[at]
            count += 1
        if count == TILE or (count > 0 and at == rows.size - 1):
            for i in range(count, TILE):
                tile[i] = tile[0]
            _chroma(tile, bank, sums)
            for i in range(count):
                doubles(tile[i] + STATS_AT, 6)[CHROMA] = _mean_chroma(sums, 12 * i)
                integers(tile[i] + TUNED_AT, 1)[0] = tuning
            count = 0


@jit
def summarise(rows, tuning, bank, out):
    """Write the six features of the window that consists of `rows` which need no mel bands.

    A row knows for which tuning its chroma is; most live frames keep theirs from hop to hop.
    """
    _tune(rows, tuning, bank)
    for column in range(6):
        total = 0.0
        for row in rows:
            total += doubles(row + STATS_AT, 6)[column]
        out[column] = total / rows.size


@jit
def gather_mel(rows, mel_at, out):
    """Copy the mel bands of the rows, one after the other."""
    for i in range(rows.size):
        bands = floats(rows[i] + mel_at, out.shape[1])
        for k in range(out.shape[1]):
            out[i, k] = bands[k]
