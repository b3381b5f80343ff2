"""The short-time Fourier transform: magnitudes of eight neighbouring frames, one lane each.

A real FFT of 2048 samples as a complex one of 1024 (even and odd samples): five radix-4 passes in
place, decimated in frequency, in float64 as librosa's. After the first pass each quarter is
finished while it lies in the nearest cache. Layout: [bin][re or im][lane]; bins come out in the
order of their reversed base-4 digits (`digit_reversed`).
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import numpy as np
from numba import njit

from features.kernels.layout import BLOCK, HALF, HOP, LANES, PAIR, STRIDE
from features.kernels.simd import (
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
inline = njit(nogil=True, error_model="numpy", inline="always", _nrt=False)


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
def first_stage(columns, window, twiddles, z):
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
        _butterfly(ar, ai, br, bi, cr, ci, dr, di, twiddles, p, z, p * PAIR, HALF // 4 * PAIR)


@inline
def _butterfly(ar, ai, br, bi, cr, ci, dr, di, twiddles, p, z, out, step):
    """Radix-4 decimation in frequency; the four results go `step` apart."""
    t = 6 * p
    sum_r, sum_i, odd_r, odd_i = ar + cr, ai + ci, br + dr, bi + di
    store64(z, out, sum_r + odd_r)
    store64(z, out + LANES, sum_i + odd_i)
    w_r, w_i = splat64(twiddles[t + 2]), splat64(twiddles[t + 3])
    x_r, x_i = sum_r - odd_r, sum_i - odd_i
    store64(z, out + 2 * step, x_r * w_r - x_i * w_i)
    store64(z, out + 2 * step + LANES, x_r * w_i + x_i * w_r)
    sum_r, sum_i, odd_r, odd_i = ar - cr, ai - ci, br - dr, bi - di
    w_r, w_i = splat64(twiddles[t]), splat64(twiddles[t + 1])
    x_r, x_i = sum_r + odd_i, sum_i - odd_r
    store64(z, out + step, x_r * w_r - x_i * w_i)
    store64(z, out + step + LANES, x_r * w_i + x_i * w_r)
    w_r, w_i = splat64(twiddles[t + 4]), splat64(twiddles[t + 5])
    x_r, x_i = sum_r - odd_i, sum_i + odd_r
    store64(z, out + 3 * step, x_r * w_r - x_i * w_i)
    store64(z, out + 3 * step + LANES, x_r * w_i + x_i * w_r)


@inline
def _plain_butterfly(z, a, step):
    """The butterfly in place whose twiddles are all 1: of the first point of a transform."""
    b, c, d = a + step, a + 2 * step, a + 3 * step
    ar, ai, br, bi = load64(z, a), load64(z, a + LANES), load64(z, b), load64(z, b + LANES)
    cr, ci, dr, di = load64(z, c), load64(z, c + LANES), load64(z, d), load64(z, d + LANES)
    sum_r, sum_i, odd_r, odd_i = ar + cr, ai + ci, br + dr, bi + di
    store64(z, a, sum_r + odd_r)
    store64(z, a + LANES, sum_i + odd_i)
    store64(z, c, sum_r - odd_r)
    store64(z, c + LANES, sum_i - odd_i)
    sum_r, sum_i, odd_r, odd_i = ar - cr, ai - ci, br - dr, bi - di
    store64(z, b, sum_r + odd_i)
    store64(z, b + LANES, sum_i - odd_r)
    store64(z, d, sum_r - odd_i)
    store64(z, d + LANES, sum_i + odd_r)


@jit
def stage(z, twiddles, base, groups, quarter):
    """One radix-4 pass in place: `groups` transforms of 4 * `quarter` points from `base` on."""
    turn = HALF // (4 * quarter)
    step = quarter * PAIR
    for group in range(groups):
        start = (base + 4 * quarter * group) * PAIR
        _plain_butterfly(z, start, step)
        for p in range(1, quarter):
            a = start + p * PAIR
            b, c, d = a + step, a + 2 * step, a + 3 * step
            _butterfly(
                load64(z, a), load64(z, a + LANES), load64(z, b), load64(z, b + LANES),
                load64(z, c), load64(z, c + LANES), load64(z, d), load64(z, d + LANES),
                twiddles, p * turn, z, a, step,
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


@inline
def _untangled(z, a, b, untangle, k):
    """The sum and difference that are bins k and HALF - k: (re, im, re, im)."""
    z_r, z_i, y_r, y_i = load64(z, a), load64(z, a + LANES), load64(z, b), load64(z, b + LANES)
    even_r, even_i = z_r + y_r, z_i - y_i
    odd_r, odd_i = z_i + y_i, y_r - z_r
    w_r, w_i = splat64(untangle[2 * k]), splat64(untangle[2 * k + 1])
    turn_r, turn_i = odd_r * w_r - odd_i * w_i, odd_r * w_i + odd_i * w_r
    return even_r + turn_r, even_i + turn_i, even_r - turn_r, even_i - turn_i


@jit
def magnitudes(z, untangle, places, spectrum, power):
    """Untangle the packed transform, of half the signal, into magnitudes and their squares.

    Returns, of each lane, the largest square and three sums over the bins k: of the magnitudes, of
    k times them and of k**2 times them. They cost nothing here, where the divisions and roots take
    the time.
    """
    one = splat64(1.0)
    low, high = splat64(0.0), splat64(float(HALF))
    largest = splat32(np.float32(0))
    total, first, second = splat64(0.0), splat64(0.0), splat64(0.0)
    for k in range(HALF // 2):
        a, b = places[k] * PAIR, places[(HALF - k) % HALF] * PAIR
        x_r, x_i, y_r, y_i = _untangled(z, a, b, untangle, k)
        x, y = _magnitude(x_r, x_i), _magnitude(y_r, y_i)
        store32(spectrum, k * LANES, x)
        store32(spectrum, (HALF - k) * LANES, y)
        # Squared in float32, as librosa does.
        square_x, square_y = x * x, y * y
        store32(power, k * LANES, square_x)
        store32(power, (HALF - k) * LANES, square_y)
        largest = max8(max8(largest, square_x), square_y)
        wide_x, wide_y = widen(x), widen(y)
        moment_x, moment_y = wide_x * low, wide_y * high
        total = total + (wide_x + wide_y)
        first = first + (moment_x + moment_y)
        second = second + moment_x * low
        second = second + moment_y * high
        low, high = low + one, high - one
    k = HALF // 2
    x_r, x_i, _, _ = _untangled(z, places[k] * PAIR, places[k] * PAIR, untangle, k)
    x = _magnitude(x_r, x_i)
    store32(spectrum, k * LANES, x)
    store32(power, k * LANES, x * x)
    moment = widen(x) * low
    return max8(largest, x * x), total + widen(x), first + moment, second + moment * low


@jit
def magnitudes_of_block(signal, offset, window, twiddles, untangle, places, scratch):
    """Write |X| and |X|**2 of eight frames from `offset` on, `HOP` apart, [bin][lane].

    Returns what `magnitudes` does.
    """
    columns, z, spectrum, power, _ = scratch
    interleave(signal, offset, columns)
    first_stage(columns, window, twiddles, z)
    for quarter in range(4):
        base = quarter * HALF // 4
        stage(z, twiddles, base, 1, 64)
        stage(z, twiddles, base, 4, 16)
        stage(z, twiddles, base, 16, 4)
        stage(z, twiddles, base, 64, 1)
    return magnitudes(z, untangle, places, spectrum, power)
