"""The short-time Fourier transform: magnitudes of eight neighbouring frames, one lane each.

A real FFT of 2048 samples as a complex one of 1024 (even and odd samples): five radix-4 passes in
place, decimated in frequency, in float64 as librosa's. After the first pass each quarter is
finished while it lies in the nearest cache. Layout: [bin][lane]; re and im apart; bins come out in
the order of their reversed base-4 digits (`digit_reversed`).
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import numpy as np
from numba import njit

from features.layout import BLOCK, HALF, HOP, LANES, STRIDE
from features.simd import (
    abs8,
    divide8,
    fma8,
    load32,
    load64,
    max8,
    min8,
    narrow,
    splat32,
    splat64,
    sqrt8,
    store32,
    store64,
    transpose8,
    widen,
)

# Without numba's reference counts, and so without its run-time library: what is compiled stands on
# its own.
jit = njit(nogil=True, error_model="numpy", _nrt=False)


@jit
def interleave(signal, offset, columns):
    """Interleave the samples of the block's 11 hops, so that eight frames load as one vector."""
    for m in range(0, HOP, LANES):
        transpose8(signal, offset + m, HOP, columns, m * STRIDE, STRIDE)
    for j in range(LANES, BLOCK // HOP):
        start = offset + j * HOP
        for m in range(HOP):
            columns[m * STRIDE + j] = signal[start + m]


@jit
def first_stage(columns, window, twiddles, re, im):
    """Window the frames, pack even and odd samples as complex numbers, first radix-4 butterfly.

    The four inputs of a butterfly lie a quarter frame apart, which is one hop: the same row,
    shifted by one lane.
    """
    for p in range(HALF // 4):
        even, odd = 2 * p * STRIDE, (2 * p + 1) * STRIDE
        ar = widen(load32(columns, even)) * splat64(window[2 * p])
        ai = widen(load32(columns, odd)) * splat64(window[2 * p + 1])
        br = widen(load32(columns, even + 1)) * splat64(window[2 * p + HOP])
        bi = widen(load32(columns, odd + 1)) * splat64(window[2 * p + HOP + 1])
        cr = widen(load32(columns, even + 2)) * splat64(window[2 * p + 2 * HOP])
        ci = widen(load32(columns, odd + 2)) * splat64(window[2 * p + 2 * HOP + 1])
        dr = widen(load32(columns, even + 3)) * splat64(window[2 * p + 3 * HOP])
        di = widen(load32(columns, odd + 3)) * splat64(window[2 * p + 3 * HOP + 1])
        _butterfly(
            ar, ai, br, bi, cr, ci, dr, di, twiddles, p, re, im, p * LANES, HALF // 4 * LANES
        )


@njit(nogil=True, error_model="numpy", inline="always", _nrt=False)
def _butterfly(ar, ai, br, bi, cr, ci, dr, di, twiddles, p, re, im, out, step):
    """Radix-4 decimation in frequency; the four results go `step` apart."""
    t = 6 * p
    sum_r, sum_i, odd_r, odd_i = ar + cr, ai + ci, br + dr, bi + di
    store64(re, out, sum_r + odd_r)
    store64(im, out, sum_i + odd_i)
    w_r, w_i = splat64(twiddles[t + 2]), splat64(twiddles[t + 3])
    x_r, x_i = sum_r - odd_r, sum_i - odd_i
    store64(re, out + 2 * step, x_r * w_r - x_i * w_i)
    store64(im, out + 2 * step, x_r * w_i + x_i * w_r)
    sum_r, sum_i, odd_r, odd_i = ar - cr, ai - ci, br - dr, bi - di
    w_r, w_i = splat64(twiddles[t]), splat64(twiddles[t + 1])
    x_r, x_i = sum_r + odd_i, sum_i - odd_r
    store64(re, out + step, x_r * w_r - x_i * w_i)
    store64(im, out + step, x_r * w_i + x_i * w_r)
    w_r, w_i = splat64(twiddles[t + 4]), splat64(twiddles[t + 5])
    x_r, x_i = sum_r - odd_i, sum_i + odd_r
    store64(re, out + 3 * step, x_r * w_r - x_i * w_i)
    store64(im, out + 3 * step, x_r * w_i + x_i * w_r)


@jit
def stage(re, im, twiddles, base, groups, quarter):
    """One radix-4 pass in place: `groups` transforms of 4 * `quarter` points from `base` on."""
    turn = HALF // (4 * quarter)
    step = quarter * LANES
    for group in range(groups):
        start = (base + 4 * quarter * group) * LANES
        for p in range(quarter):
            a = start + p * LANES
            b, c, d = a + step, a + 2 * step, a + 3 * step
            _butterfly(
                load64(re, a), load64(im, a), load64(re, b), load64(im, b),
                load64(re, c), load64(im, c), load64(re, d), load64(im, d),
                twiddles, p * turn, re, im, a, step,
            )  # fmt: skip


@jit
def _magnitude(re, im):
    """|X| of eight bins in float32, in the very steps of numpy's complex64 `abs`.

    Where all bins are equal but for rounding (a single click), the last bit decides which are
    peaks.
    """
    re, im = abs8(narrow(re)), abs8(narrow(im))
    larger = max8(re, im)
    ratio = divide8(min8(re, im), larger)
    return sqrt8(fma8(ratio, ratio, splat32(np.float32(1)))) * larger


@jit
def magnitudes(re, im, untangle, places, spectrum):
    """Untangle the packed transform into the 1025 magnitudes of each frame."""
    half = splat64(0.5)
    for k in range(HALF // 2 + 1):
        a, b = places[k] * LANES, places[(HALF - k) % HALF] * LANES
        z_r, z_i, y_r, y_i = load64(re, a), load64(im, a), load64(re, b), load64(im, b)
        even_r, even_i = half * (z_r + y_r), half * (z_i - y_i)
        odd_r, odd_i = half * (z_i + y_i), half * (y_r - z_r)
        w_r, w_i = splat64(untangle[2 * k]), splat64(untangle[2 * k + 1])
        turn_r, turn_i = odd_r * w_r - odd_i * w_i, odd_r * w_i + odd_i * w_r
        store32(spectrum, k * LANES, _magnitude(even_r + turn_r, even_i + turn_i))
        store32(spectrum, (HALF - k) * LANES, _magnitude(even_r - turn_r, even_i - turn_i))


@jit
def magnitudes_of_block(signal, offset, window, twiddles, untangle, places, scratch):
    """Write |X| of eight frames from `offset` on, `HOP` apart, to the spectrum, [bin][lane]."""
    columns, re, im, spectrum, _ = scratch
    interleave(signal, offset, columns)
    first_stage(columns, window, twiddles, re, im)
    for quarter in range(4):
        base = quarter * HALF // 4
        stage(re, im, twiddles, base, 1, 64)
        stage(re, im, twiddles, base, 4, 16)
        stage(re, im, twiddles, base, 16, 4)
        stage(re, im, twiddles, base, 64, 1)
    magnitudes(re, im, untangle, places, spectrum)
