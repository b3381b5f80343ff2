"""Compiled cepstra: the orthonormal DCT-II of 128 mel bands, eight frames at once, one lane each.

Every step and its rounding is scipy's in float32 (pocketfft: a real FFT of factors 2, 4, 4, 4 after
Makhoul, 1980), because the rounding is visible in means near zero: products are never fused with
sums. Layout: [band][lane].
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import numpy as np

from features.kernels.arrays import doubles, floats, room
from features.kernels.layout import BANDS, LANES, MEL_AT
from features.kernels.simd import (
    lane,
    load32,
    load64,
    max8,
    product8,
    splat32,
    store32,
    store64,
    transpose8,
    widen,
)
from features.kernels.transform import inline, jit

ROOT = np.float32(np.sqrt(2.0))
SCALE = np.float32(1 / 16)
"""1 / sqrt(2 * BANDS), exact."""


@inline
def _turn(target, at_i, at_r, w_r, w_i, im, re):
    """Write (re, im) times the conjugate of a twiddle."""
    store32(target, at_i, product8(w_r, im) + product8(w_i, re))
    store32(target, at_r, product8(w_r, re) - product8(w_i, im))


@jit
def _radix_2(source, target, twiddles):
    """The first pass: 64 points of a half-complex spectrum and their mirror images."""
    points = BANDS // 2
    far = points * LANES
    first, last = load32(source, 0), load32(source, (BANDS - 1) * LANES)
    store32(target, 0, first + last)
    store32(target, far, first - last)
    middle, other = load32(source, far - LANES), load32(source, far)
    store32(target, far - LANES, middle + middle)
    store32(target, 2 * far - LANES, splat32(np.float32(0)) - (other + other))
    for i in range(2, points, 2):
        mirror = points - i
        a_r, a_i = load32(source, (i - 1) * LANES), load32(source, i * LANES)
        b_r = load32(source, (mirror - 1 + points) * LANES)
        b_i = load32(source, (mirror + points) * LANES)
        store32(target, (i - 1) * LANES, a_r + b_r)
        store32(target, i * LANES, a_i - b_i)
        w_r, w_i = splat32(twiddles[i - 2]), splat32(twiddles[i - 1])
        _turn(target, far + i * LANES, far + (i - 1) * LANES, w_r, w_i, a_i + b_i, a_r - b_r)


@jit
def _radix_4_ends(source, target, points, groups):
    """The points of each group that need no twiddle: the first and, of an even number, the last."""
    size, root = points * LANES, splat32(ROOT)
    out = groups * size
    for group in range(groups):
        a, to = 4 * group * size, group * size
        first, last = load32(source, a), load32(source, a + 4 * size - LANES)
        plus, minus = first + last, first - last
        middle = load32(source, a + 2 * size - LANES)
        other = load32(source, a + 2 * size)
        middle, other = middle + middle, other + other
        store32(target, to, plus + middle)
        store32(target, to + 2 * out, plus - middle)
        store32(target, to + 3 * out, minus + other)
        store32(target, to + out, minus - other)
        if points > 1:
            high, low = load32(source, a + 3 * size), load32(source, a + size)
            plus_i, minus_i = high + low, high - low
            left = load32(source, a + size - LANES)
            right = load32(source, a + 3 * size - LANES)
            plus, minus = left + right, left - right
            end = to + size - LANES
            store32(target, end, plus + plus)
            store32(target, end + out, product8(root, minus - plus_i))
            store32(target, end + 2 * out, minus_i + minus_i)
            store32(target, end + 3 * out, product8(splat32(-ROOT), minus + plus_i))


@jit
def _radix_4(source, target, points, groups, twiddles, at):
    """A pass of `groups` x 4 x `points`; its twiddles begin at `at`."""
    _radix_4_ends(source, target, points, groups)
    size = points * LANES
    out = groups * size
    for group in range(groups):
        for i in range(2, points, 2):
            a = 4 * group * size + i * LANES
            b = 4 * group * size + (points - i) * LANES
            re, im = load32(source, a - LANES), load32(source, a)
            other_r, other_i = load32(source, b + 3 * size - LANES), load32(source, b + 3 * size)
            r2, r1, i1, i2 = re + other_r, re - other_r, im + other_i, im - other_i
            re, im = load32(source, a + 2 * size - LANES), load32(source, a + 2 * size)
            other_r, other_i = load32(source, b + size - LANES), load32(source, b + size)
            r3, i4, r4, i3 = re + other_r, re - other_r, im + other_i, im - other_i
            to, w = group * size + i * LANES, at + i - 2
            store32(target, to - LANES, r2 + r3)
            store32(target, to, i2 + i3)
            w_r, w_i = splat32(twiddles[w]), splat32(twiddles[w + 1])
            _turn(target, to + out, to + out - LANES, w_r, w_i, i1 + i4, r1 - r4)
            w += points - 1
            w_r, w_i = splat32(twiddles[w]), splat32(twiddles[w + 1])
            _turn(target, to + 2 * out, to + 2 * out - LANES, w_r, w_i, i2 - i3, r2 - r3)
            w += points - 1
            w_r, w_i = splat32(twiddles[w]), splat32(twiddles[w + 1])
            _turn(target, to + 3 * out, to + 3 * out - LANES, w_r, w_i, i1 - i4, r1 + r4)


@jit
def transform(c, other, cosines, turns):
    """Turn 128 bands of eight frames into their cepstra, in place; `other` is scratch."""
    last = (BANDS - 1) * LANES
    store32(c, 0, load32(c, 0) + load32(c, 0))
    store32(c, last, load32(c, last) + load32(c, last))
    for k in range(1, BANDS - 1, 2):
        a, b = load32(c, (k + 1) * LANES), load32(c, k * LANES)
        store32(c, (k + 1) * LANES, a - b)
        store32(c, k * LANES, a + b)
    _radix_2(c, other, turns)
    _radix_4(other, c, 16, 2, turns, 63)
    _radix_4(c, other, 4, 8, turns, 63 + 45)
    _radix_4(other, c, 1, 32, turns, 0)
    half = splat32(np.float32(0.5))
    scale = splat32(SCALE)
    for k in range(1, BANDS // 2):
        near, far = k * LANES, (BANDS - k) * LANES
        w, v = splat32(cosines[k - 1]), splat32(cosines[BANDS - k - 1])
        x, y = product8(load32(c, near), scale), product8(load32(c, far), scale)
        one = product8(w, y) + product8(v, x)
        two = product8(w, x) - product8(v, y)
        store32(c, near, product8(half, one + two))
        store32(c, far, product8(half, one - two))
    middle = BANDS // 2 * LANES
    scaled = product8(load32(c, middle), scale)
    store32(c, middle, product8(scaled, splat32(cosines[BANDS // 2 - 1])))
    scaled = product8(load32(c, 0), scale)
    store32(c, 0, product8(scaled, splat32(np.float32(ROOT * np.float32(0.5)))))


@jit
def _floor(rows):
    """80 dB below the loudest band of all these rows."""
    largest = load32(floats(rows[0] + MEL_AT, BANDS), 0)
    for row in rows:
        mel = floats(row + MEL_AT, BANDS)
        for k in range(0, BANDS, LANES):
            largest = max8(largest, load32(mel, k))
    top = lane(largest, 0)
    for i in range(1, LANES):
        top = max(top, lane(largest, i))
    return np.float32(top - np.float32(80))


@jit
def _gather(rows, first, floor, tile, c):
    """Clip eight rows from the `first` on, one lane each; the last row stands for missing ones."""
    least = splat32(floor)
    for i in range(LANES):
        mel = floats(rows[min(first + i, rows.size - 1)] + MEL_AT, BANDS)
        for k in range(0, BANDS, LANES):
            store32(tile, i * BANDS + k, max8(load32(mel, k), least))
    for k in range(0, BANDS, LANES):
        transpose8(tile, k, BANDS, c, k * LANES, LANES)


@jit
def _add(c, used, sums, size):
    """Add the first `size` coefficients of the `used` first lanes to `sums`."""
    for k in range(size):
        if used == LANES:
            store64(sums, k * LANES, load64(sums, k * LANES) + widen(load32(c, k * LANES)))
        else:
            for i in range(used):
                sums[k * LANES + i] += c[k * LANES + i]


@jit
def mean_cepstra(rows, cosines, turns, out):
    """Write the means over frames of the first `out.size` coefficients.

    The mel bands of the rows are clipped at 80 dB below the loudest.
    """
    c, other = floats(room(4 * 1024), BANDS * LANES), floats(room(4 * 1024), BANDS * LANES)
    sums = doubles(room(8 * 1024), BANDS * LANES)
    sums[:] = 0.0
    floor = _floor(rows)
    for first in range(0, rows.size, LANES):
        _gather(rows, first, floor, other, c)
        transform(c, other, cosines, turns)
        _add(c, min(LANES, rows.size - first), sums, out.size)
    for k in range(out.size):
        total = 0.0
        for i in range(LANES):
            total += sums[k * LANES + i]
        out[k] = total / rows.size
