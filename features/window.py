"""Compiled measures of a window, made from the rows of its frames: tuning, chroma, means."""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import numpy as np

from features.arrays import floats, integers, room
from features.layout import BINS, CHROMA, HALF, LANES
from features.simd import lane, load32, splat32
from features.transform import jit


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
def tuning_bin(rows, notes, heights, counts, edges, scratch):
    """Return the histogram bin of the tuning (librosa `estimate_tuning`); 50 (0.0) without peaks.

    notes: octaves above 27.5 Hz of each peak, float32; scratch: room for all peaks.
    """
    size = 0
    for row in rows:
        for i in range(counts[row]):
            scratch[size] = heights[row, i]
            size += 1
    if size == 0:
        return 50
    threshold = median(scratch, size)
    histogram = integers(room(8 * 100), 100)
    histogram[:] = 0
    for row in rows:
        for i in range(counts[row]):
            if heights[row, i] >= threshold:
                semitones = np.float32(np.float32(12.0) * notes[row, i])
                residual = np.float32(semitones - np.floor(semitones))
                if residual >= np.float32(0.5):
                    residual = np.float32(residual - np.float32(1.0))
                at = min(int((residual + 0.5) * 100), 99)
                while edges[at] > residual:
                    at -= 1
                while at < 99 and edges[at + 1] <= residual:
                    at += 1
                histogram[at] += 1
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
def _chroma(power, row, bank, chroma):
    """Mean of one frame's 12 chroma values, scaled to a maximum of 1; `chroma` is scratch."""
    base = row * BINS
    for c in range(0, 12, 6):
        b = c * BINS
        s0 = s1 = s2 = s3 = s4 = s5 = splat32(np.float32(0))
        for k in range(0, HALF, LANES):
            p = load32(power, base + k)
            s0, s1 = s0 + p * load32(bank, b + k), s1 + p * load32(bank, b + BINS + k)
            s2, s3 = (
                s2 + p * load32(bank, b + 2 * BINS + k),
                s3 + p * load32(bank, b + 3 * BINS + k),
            )
            s4, s5 = (
                s4 + p * load32(bank, b + 4 * BINS + k),
                s5 + p * load32(bank, b + 5 * BINS + k),
            )
        chroma[c], chroma[c + 1], chroma[c + 2] = _sum8(s0), _sum8(s1), _sum8(s2)
        chroma[c + 3], chroma[c + 4], chroma[c + 5] = _sum8(s3), _sum8(s4), _sum8(s5)
    for c in range(12):
        chroma[c] += power[row, HALF] * bank[c, HALF]
    largest = np.float32(0)
    for c in range(12):
        largest = max(largest, chroma[c])
    if largest < np.finfo(np.float32).tiny:
        largest = np.float32(1)
    total = 0.0
    for c in range(12):
        total += chroma[c] / largest
    return total / 12


@jit
def summarise(rows, stats, power, tuned, tuning, bank, out):
    """Write the six features of the window that consists of `rows` which need no mel bands.

    tuned: the tuning bin for which a row's chroma stands in `stats`; most live frames keep theirs
    from hop to hop.
    """
    scratch = floats(room(4 * 12), 12)
    for row in rows:
        if tuned[row] != tuning:
            stats[row, CHROMA] = _chroma(power, row, bank, scratch)
            tuned[row] = tuning
    for column in range(6):
        total = 0.0
        for row in rows:
            total += stats[row, column]
        out[column] = total / rows.size
