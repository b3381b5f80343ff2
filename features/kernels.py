"""Compiled arithmetic of the short-time spectrum: eight neighbouring frames at once, one lane each.

`analyse_block` reads `BLOCK` consecutive samples, which hold eight frames `hop` apart, and writes one row per frame
to a `Frames` table. Nothing is allocated; every array is the caller's. Layout inside: [bin][lane].
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import numpy as np
from numba import njit

from features.simd import (
    LANES,
    abs8,
    count_ones,
    divide8,
    fma8,
    greater8,
    lane,
    load32,
    load64,
    lowest_bit,
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

N_FFT = 2048
HOP = 512
HALF = N_FFT // 2
BINS = HALF + 1
BLOCK = N_FFT + (LANES - 1) * HOP
STRIDE = 16  # the 11 hops of a block, padded

CHROMA, RMS, CENTROID, BANDWIDTH, ROLLOFF, CROSSINGS = range(6)

jit = njit(nogil=True, cache=True, error_model="numpy")


@jit
def _interleave(signal, offset, columns):
    """Put sample `m` of each of the block's 11 hops side by side, so that eight frames load as one vector."""
    for m in range(0, HOP, LANES):
        transpose8(signal, offset + m, HOP, columns, m * STRIDE, STRIDE)
    for j in range(LANES, BLOCK // HOP):
        start = offset + j * HOP
        for m in range(HOP):
            columns[m * STRIDE + j] = signal[start + m]


@jit
def _first_stage(columns, window, twiddles, re, im):
    """Window the frames, pack even and odd samples as one complex number, and do the first radix-4 butterfly.

    The four inputs of a butterfly lie a quarter frame apart, which is one hop: the same row, shifted by one lane.
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
        _butterfly(ar, ai, br, bi, cr, ci, dr, di, twiddles, p, re, im, 4 * p * LANES, LANES)


@njit(nogil=True, error_model="numpy", inline="always")
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
def _stage(re, im, out_re, out_im, twiddles, groups, step):
    """One radix-4 pass of Stockham's self-sorting FFT over `groups` twiddles, `step` butterflies each."""
    quarter = groups * step * LANES
    for p in range(groups):
        for q in range(step):
            a = (p * step + q) * LANES
            b, c, d = a + quarter, a + 2 * quarter, a + 3 * quarter
            _butterfly(
                load64(re, a), load64(im, a), load64(re, b), load64(im, b),
                load64(re, c), load64(im, c), load64(re, d), load64(im, d),
                twiddles, p * step, out_re, out_im, (4 * p * step + q) * LANES, step * LANES,
            )  # fmt: skip


@jit
def _magnitude(re, im):
    """|X| of eight bins in float32, in the very steps of numpy's complex64 `abs`.

    Where all bins are equal but for rounding (a single click), the last bit decides which are peaks.
    """
    re, im = abs8(narrow(re)), abs8(narrow(im))
    larger = max8(re, im)
    ratio = divide8(min8(re, im), larger)
    return sqrt8(fma8(ratio, ratio, splat32(np.float32(1)))) * larger


@jit
def _magnitudes(re, im, untangle, spectrum):
    """Untangle the packed transform into the 1025 magnitudes of each frame."""
    half = splat64(0.5)
    for k in range(HALF // 2 + 1):
        a, b = k * LANES, ((HALF - k) % HALF) * LANES
        z_r, z_i, y_r, y_i = load64(re, a), load64(im, a), load64(re, b), load64(im, b)
        even_r, even_i = half * (z_r + y_r), half * (z_i - y_i)
        odd_r, odd_i = half * (z_i + y_i), half * (y_r - z_r)
        w_r, w_i = splat64(untangle[2 * k]), splat64(untangle[2 * k + 1])
        turn_r, turn_i = odd_r * w_r - odd_i * w_i, odd_r * w_i + odd_i * w_r
        store32(spectrum, a, _magnitude(even_r + turn_r, even_i + turn_i))
        store32(spectrum, (HALF - k) * LANES, _magnitude(even_r - turn_r, even_i - turn_i))


@jit
def _shape(spectrum, cumulated, bin_hz, stats, row, used):
    """Spectral centroid, bandwidth (p=2) and roll-off (0.85) of each lane.

    The running sum stays float32 and in order, as numpy's cumsum does for librosa: only so is roll-off bit-equal.
    """
    running = splat32(np.float32(0))
    total, first, second = splat64(0.0), splat64(0.0), splat64(0.0)
    for k in range(BINS):
        magnitude = load32(spectrum, k * LANES)
        running = running + magnitude
        store32(cumulated, k * LANES, running)
        wide, position = widen(magnitude), splat64(float(k))
        moment = wide * position
        total = total + wide
        first = first + moment
        second = second + moment * position
    for i in range(used):
        weight = lane(total, i)
        if weight < np.finfo(np.float32).tiny:
            weight = 1.0
        centre = lane(first, i) / weight
        spread = lane(second, i) / weight - centre * centre * (2.0 - lane(total, i) / weight)
        stats[row + i, CENTROID] = centre * bin_hz
        stats[row + i, BANDWIDTH] = np.sqrt(max(spread, 0.0)) * bin_hz
        threshold = np.float32(np.float32(0.85) * lane(running, i))
        low, high = 0, HALF
        while low < high:
            middle = (low + high) // 2
            if cumulated[middle * LANES + i] < threshold:
                low = middle + 1
            else:
                high = middle
        stats[row + i, ROLLOFF] = low * bin_hz


@jit
def _mel(power, mel_start, mel_offset, mel_weights, mel, row, used):
    """Mel bands of the power spectrum."""
    for band in range(mel_start.size):
        total = splat32(np.float32(0))
        k = mel_start[band]
        for i in range(mel_offset[band], mel_offset[band + 1]):
            total = total + splat32(mel_weights[i]) * load32(power, k * LANES)
            k += 1
        for i in range(used):
            mel[row + i, band] = lane(total, i)


@jit
def _power(spectrum, power):
    """Square in float32, as librosa does, and return the largest of each lane."""
    largest = splat32(np.float32(0))
    for k in range(BINS):
        magnitude = load32(spectrum, k * LANES)
        square = magnitude * magnitude
        largest = max8(largest, square)
        store32(power, k * LANES, square)
    return largest


@jit
def _keep_power(power, tile, rows, row, used):
    """Write the power spectra frame by frame, through a tile of eight bins."""
    for k in range(0, HALF, LANES):
        transpose8(power, k * LANES, LANES, tile, 0, LANES)
        for i in range(used):
            store32(rows, (row + i) * BINS + k, load32(tile, i * LANES))
    for i in range(used):
        rows[row + i, HALF] = power[HALF * LANES + i]


@jit
def _peaks(power, largest, peak_bins, bin_hz, notes, heights, counts, row):
    """Find the peaks of one frame from which tuning is estimated (librosa `piptrack`), with its float32 steps.

    notes: gets the frequencies over 27.5 Hz; 1 where there is no peak.
    """
    found = 0
    reference = np.float32(np.float32(0.1) * largest)
    level = splat32(reference)
    places = np.empty(notes.shape[1], np.int64)
    for k in range(peak_bins[0], peak_bins[1], LANES):
        at = row * BINS + k
        here, left, right = load32(power, at), load32(power, at - 1), load32(power, at + 1)
        # A neighbour at or below the reference counts as zero.
        above = greater8(here, level)
        bits = (
            above & (greater8(here, left) | ~greater8(left, level)) & (~greater8(right, here) | ~greater8(right, level))
        )
        bits &= (1 << min(LANES, peak_bins[1] - k)) - 1
        while bits:
            places[found] = k + lowest_bit(bits)
            bits &= bits - 1
            found += 1
    spectrum = power[row]
    for i in range(found):
        k = places[i]
        here, left, right = spectrum[k], spectrum[k - 1], spectrum[k + 1]
        a = float(np.float32(right + left)) - 2.0 * float(here)
        b = float(np.float32(right - left)) / 2.0
        shift = np.float32(0.0) if abs(b) >= abs(a) else np.float32(-b / a)
        skew = np.float32(np.float32(np.float32(0.5) * np.float32(np.float32(right - left) / np.float32(2))) * shift)
        notes[row, i] = np.float32(np.float32((k + float(shift)) * bin_hz) / np.float32(27.5))
        heights[row, i] = np.float32(here + skew)
    notes[row, found:] = np.float32(1)
    counts[row] = found


@jit
def _energy(signal, begin):
    """Sum of squares over one hop."""
    total = splat64(0.0)
    for n in range(begin, begin + HOP, LANES):
        wide = widen(load32(signal, n))
        total = total + wide * wide
    result = 0.0
    for i in range(LANES):
        result += lane(total, i)
    return result


@jit
def _crossings(signal, begin, end):
    """Changes of sign from one sample to the next, for the second of each pair in begin..end."""
    quiet = np.float32(-1e-10)
    limit = splat32(quiet)
    count, n = 0, begin
    while n + LANES <= end:
        count += count_ones(greater8(limit, load32(signal, n)) ^ greater8(limit, load32(signal, n - 1)))
        n += LANES
    for i in range(n, end):
        count += (signal[i] < quiet) != (signal[i - 1] < quiet)
    return count


@jit
def _in_time(signal, offset, start, stop, stats, row, used):
    """RMS and zero-crossing rate; a crossing counts only between two samples of start..stop (no padding)."""
    hops = BLOCK // HOP
    squares, crossings, at_start = np.zeros(hops), np.zeros(hops, np.int64), np.zeros(hops, np.int64)
    for j in range(hops):
        begin = offset + j * HOP
        squares[j] = _energy(signal, begin)
        crossings[j] = _crossings(signal, max(begin, start + 1), min(begin + HOP, stop))
        if start < begin < stop:
            # The first sample of a frame has no predecessor in it.
            at_start[j] = _crossings(signal, begin, begin + 1)
    for i in range(used):
        energy, count = 0.0, -at_start[i]
        for j in range(i, i + N_FFT // HOP):
            energy += squares[j]
            count += crossings[j]
        stats[row + i, RMS] = np.sqrt(energy / N_FFT)
        stats[row + i, CROSSINGS] = count / N_FFT


@jit
def analyse_block(signal, offset, start, stop, tables, scratch, frames, row, used, full):
    """Analyse the eight frames that begin at `offset`, `HOP` apart, and write the first `used` from `row` on.

    signal: float32, padding included; only samples start..stop are real. `full` False leaves all but mel out.
    """
    window, twiddles, untangle, mel_start, mel_offset, mel_weights, bin_hz, peak_bins = tables
    columns, re, im, re2, im2, spectrum, power = scratch
    stats, mel, rows, notes, heights, counts, tuned = frames
    _interleave(signal, offset, columns)
    _first_stage(columns, window, twiddles, re, im)
    _stage(re, im, re2, im2, twiddles, 64, 4)
    _stage(re2, im2, re, im, twiddles, 16, 16)
    _stage(re, im, re2, im2, twiddles, 4, 64)
    _stage(re2, im2, re, im, twiddles, 1, 256)
    _magnitudes(re, im, untangle, spectrum)
    largest = _power(spectrum, power)
    _mel(power, mel_start, mel_offset, mel_weights, mel, row, used)
    if full:
        _keep_power(power, columns, rows, row, used)
        _shape(spectrum, power, bin_hz, stats, row, used)
        _in_time(signal, offset, start, stop, stats, row, used)
        for i in range(used):
            tuned[row + i] = -1
            _peaks(rows, lane(largest, i), peak_bins, bin_hz, notes, heights, counts, row + i)


@jit
def analyse(signal, offset, start, stop, tables, scratch, frames, row, count, full):
    """Analyse `count` frames from `offset` on, in blocks of eight; `signal` must reach to the last block's end."""
    for first in range(0, count, LANES):
        used = min(LANES, count - first)
        at = offset + first * HOP
        analyse_block(signal, at, start, stop, tables, scratch, frames, row + first, used, full)


@jit
def _select(values, size, k):
    """Reorder `values[:size]` so that the k-th smallest stands at k, smaller ones before it (Hoare's quickselect)."""
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
def _median(values, size):
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
    """Return the histogram bin of the tuning estimate (librosa `estimate_tuning`); 50, which is 0.0, without peaks.

    notes: octaves above 27.5 Hz of each peak, float32; scratch: room for all peaks.
    """
    size = 0
    for row in rows:
        for i in range(counts[row]):
            scratch[size] = heights[row, i]
            size += 1
    if size == 0:
        return 50
    threshold = _median(scratch, size)
    histogram = np.zeros(100, np.int64)
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
    return np.argmax(histogram)


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
            s2, s3 = s2 + p * load32(bank, b + 2 * BINS + k), s3 + p * load32(bank, b + 3 * BINS + k)
            s4, s5 = s4 + p * load32(bank, b + 4 * BINS + k), s5 + p * load32(bank, b + 5 * BINS + k)
        chroma[c], chroma[c + 1], chroma[c + 2] = _sum8(s0), _sum8(s1), _sum8(s2)
        chroma[c + 3], chroma[c + 4], chroma[c + 5] = _sum8(s3), _sum8(s4), _sum8(s5)
    for c in range(12):
        chroma[c] += power[row, HALF] * bank[c, HALF]
    largest = chroma.max()
    if largest < np.finfo(np.float32).tiny:
        largest = np.float32(1)
    total = 0.0
    for value in chroma:
        total += value / largest
    return total / 12


@jit
def summarise(rows, stats, power, tuned, tuning, bank, out):
    """Write the six features of the window that consists of `rows` which need no mel bands.

    tuned: the tuning bin for which a row's chroma stands in `stats`; most live frames keep theirs from hop to hop.
    """
    scratch = np.empty(12, np.float32)
    for row in rows:
        if tuned[row] != tuning:
            stats[row, CHROMA] = _chroma(power, row, bank, scratch)
            tuned[row] = tuning
    for column in range(6):
        total = 0.0
        for row in rows:
            total += stats[row, column]
        out[column] = total / rows.size
