"""Compiled measures of single frames: eight neighbouring frames at once, one lane each.

`analyse` reads blocks of `BLOCK` consecutive samples, which hold eight frames `HOP` apart, and
writes what is kept of each to the frame's row, which is an address (layout.py). Layout inside a
block: [bin][lane]. The memory is the caller's.
"""

# mypy: disable-error-code="no-untyped-def, no-untyped-call, untyped-decorator"
from __future__ import annotations

import numpy as np

from features.kernels.arrays import doubles, floats, integers, octets, room
from features.kernels.layout import (
    BANDWIDTH,
    BINS,
    BLOCK,
    CENTROID,
    COUNT_AT,
    CROSSINGS,
    HALF,
    HEIGHTS_AT,
    HOP,
    LANES,
    N_FFT,
    PEAKS,
    POWER_AT,
    QUIET,
    RMS,
    ROLLOFF,
    STATS_AT,
    TUNED_AT,
    TUNINGS_AT,
)
from features.kernels.simd import (
    count_ones,
    greater8,
    lane,
    load32,
    lowest_bit,
    splat32,
    splat64,
    store32,
    transpose8,
    widen,
)
from features.kernels.transform import jit, magnitudes_of_block

HOPS = BLOCK // HOP


@jit
def _shape(sums, running, cumulated, bin_hz, rows, first, used):
    """Spectral centroid, bandwidth (p=2) and roll-off (0.85) of each lane.

    sums: what `magnitudes` returns; running: the last of the sums in `cumulated`.
    """
    _, total, moment, second = sums
    for i in range(used):
        stats = doubles(rows[first + i] + STATS_AT, 6)
        weight = lane(total, i)
        if weight < np.finfo(np.float32).tiny:
            weight = 1.0
        centre = lane(moment, i) / weight
        spread = lane(second, i) / weight - centre * centre * (2.0 - lane(total, i) / weight)
        stats[CENTROID] = centre * bin_hz
        stats[BANDWIDTH] = np.sqrt(max(spread, 0.0)) * bin_hz
        threshold = np.float32(np.float32(0.85) * lane(running, i))
        low, high = 0, HALF
        while low < high:
            middle = (low + high) // 2
            if cumulated[middle * LANES + i] < threshold:
                low = middle + 1
            else:
                high = middle
        stats[ROLLOFF] = low * bin_hz


@jit
def _mel(power, mel_start, mel_offset, mel_weights, mel, first, used):
    """Mel bands of the power spectrum."""
    for band in range(mel_start.size):
        total = splat32(np.float32(0))
        k = mel_start[band]
        for i in range(mel_offset[band], mel_offset[band + 1]):
            total = total + splat32(mel_weights[i]) * load32(power, k * LANES)
            k += 1
        for i in range(used):
            mel[first + i, band] = lane(total, i)


@jit
def _keep_power(spectrum, power, cumulated, tile, rows, first, used):
    """Write the power spectra frame by frame, in tiles of eight bins; sum up the magnitudes.

    The running sum stays float32 and in order, as numpy's cumsum does for librosa: only so is
    roll-off bit-equal. Its additions wait for each other; the tiles are turned meanwhile. Returns
    the whole sum of each lane.
    """
    # Most rows of a block lie at equal distances: then the tiles are turned into place.
    step = rows[first + 1] - rows[first] if used == LANES else 0
    for i in range(1, used):
        if rows[first + i] - rows[first + i - 1] != step:
            step = 0
    target, running = floats(rows[first] + POWER_AT, BINS), splat32(np.float32(0))
    for k in range(0, HALF, LANES):
        for j in range(k, k + LANES):
            running = running + load32(spectrum, j * LANES)
            store32(cumulated, j * LANES, running)
        if step:
            transpose8(power, k * LANES, LANES, target, k, step // 4)
        else:
            transpose8(power, k * LANES, LANES, tile, 0, LANES)
            for i in range(used):
                store32(floats(rows[first + i] + POWER_AT, BINS), k, load32(tile, i * LANES))
    for i in range(used):
        floats(rows[first + i] + POWER_AT, BINS)[HALF] = power[HALF * LANES + i]
    running = running + load32(spectrum, HALF * LANES)
    store32(cumulated, HALF * LANES, running)
    return running


@jit
def _peaks(row, largest, peak_bins, bin_hz, notes):
    """Find the peaks of one frame for the tuning (librosa `piptrack`), with its float32 steps.

    notes: of this frame, gets the frequencies over 27.5 Hz; 1 where there is no peak.
    """
    spectrum, heights = floats(row + POWER_AT, BINS), floats(row + HEIGHTS_AT, PEAKS)
    found = 0
    reference = np.float32(np.float32(0.1) * largest)
    level = splat32(reference)
    places = integers(room(8 * 180), PEAKS)
    for k in range(peak_bins[0], peak_bins[1], LANES):
        here, left = load32(spectrum, k), load32(spectrum, k - 1)
        right = load32(spectrum, k + 1)
        # A neighbour at or below the reference counts as zero.
        above = greater8(here, level)
        bits = (
            above
            & (greater8(here, left) | ~greater8(left, level))
            & (~greater8(right, here) | ~greater8(right, level))
        )
        bits &= (1 << min(LANES, peak_bins[1] - k)) - 1
        while bits:
            places[found] = k + lowest_bit(bits)
            bits &= bits - 1
            found += 1
    for i in range(found):
        k = places[i]
        here, left, right = spectrum[k], spectrum[k - 1], spectrum[k + 1]
        a = float(np.float32(right + left)) - 2.0 * float(here)
        b = float(np.float32(right - left)) / 2.0
        shift = np.float32(0.0) if abs(b) >= abs(a) else np.float32(-b / a)
        skew = np.float32(
            np.float32(np.float32(0.5) * np.float32(np.float32(right - left) / np.float32(2)))
            * shift
        )
        notes[i] = np.float32(np.float32((k + float(shift)) * bin_hz) / np.float32(27.5))
        heights[i] = np.float32(here + skew)
    notes[found:] = np.float32(1)
    integers(row + COUNT_AT, 1)[0] = found


@jit
def _energy(signal, begin):
    """Sum of squares over one hop."""
    # Two sums, because the additions of one wait for each other.
    even, odd = splat64(0.0), splat64(0.0)
    for n in range(begin, begin + HOP, 2 * LANES):
        one, other = widen(load32(signal, n)), widen(load32(signal, n + LANES))
        even, odd = even + one * one, odd + other * other
    total = even + odd
    result = 0.0
    for i in range(LANES):
        result += lane(total, i)
    return result


@jit
def _crossings(signal, begin, end):
    """Changes of sign from one sample to the next, for the second of each pair in begin..end."""
    limit = splat32(QUIET)
    count, n = 0, begin
    while n + LANES <= end:
        count += count_ones(
            greater8(limit, load32(signal, n)) ^ greater8(limit, load32(signal, n - 1))
        )
        n += LANES
    for i in range(n, end):
        count += (signal[i] < QUIET) != (signal[i - 1] < QUIET)
    return count


@jit
def _in_time(signal, offset, start, stop, rows, first, used):
    """RMS and zero-crossing rate; crossings count between samples of start..stop (no padding)."""
    squares = doubles(room(8 * 11), HOPS)
    crossings, at_start = integers(room(8 * 11), HOPS), integers(room(8 * 11), HOPS)
    for j in range(HOPS):
        begin = offset + j * HOP
        squares[j] = _energy(signal, begin)
        # Not the first of all samples: there may be none before it, and no frame would count it.
        crossings[j] = _crossings(signal, max(begin, start + 1, offset + 1), min(begin + HOP, stop))
        # The first sample of a frame has no predecessor in it.
        at_start[j] = _crossings(signal, begin, begin + 1) if j > 0 and start < begin < stop else 0
    for i in range(used):
        energy, count = 0.0, -at_start[i]
        for j in range(i, i + N_FFT // HOP):
            energy += squares[j]
            count += crossings[j]
        stats = doubles(rows[first + i] + STATS_AT, 6)
        stats[RMS] = np.sqrt(energy / N_FFT)
        stats[CROSSINGS] = count / N_FFT


@jit
def analyse_block(signal, offset, start, stop, tables, scratch, rows, out, first, used, full):
    """Analyse eight frames from `offset` on, `HOP` apart; the rows of the `used` begin at `first`.

    signal: float32, padding included; only samples start..stop are real. `full` False leaves all
    but mel out.
    """
    window, twiddles, untangle, places, mel_start, mel_offset, mel_weights, bin_hz, peak_bins = (
        tables
    )
    columns, _, spectrum, power, cumulated = scratch
    mel, notes = out
    sums = magnitudes_of_block(signal, offset, window, twiddles, untangle, places, scratch)
    _mel(power, mel_start, mel_offset, mel_weights, mel, first, used)
    if full:
        running = _keep_power(spectrum, power, cumulated, columns, rows, first, used)
        _shape(sums, running, cumulated, bin_hz, rows, first, used)
        _in_time(signal, offset, start, stop, rows, first, used)
        for i in range(used):
            row = rows[first + i]
            integers(row + TUNED_AT, 1)[0] = -1
            _peaks(row, lane(sums[0], i), peak_bins, bin_hz, notes[first + i])


@jit
def analyse(signal, offset, start, stop, tables, scratch, rows, out, full):
    """Analyse frames from `offset` on, in blocks of eight that `signal` must hold.

    rows: an address for each; out: mel bands and notes of each frame, for numpy's logarithms and
    then `keep`. Returns the most peaks of a frame, 0 unless `full`.
    """
    for first in range(0, rows.size, LANES):
        used = min(LANES, rows.size - first)
        at = offset + first * HOP
        analyse_block(signal, at, start, stop, tables, scratch, rows, out, first, used, full)
    most = 0
    if full:
        for row in rows:
            most = max(most, integers(row + COUNT_AT, 1)[0])
    return most


@jit
def keep(rows, out, mel_at, edges, full):
    """Write the mel bands in decibels to the rows, and the histogram bins of the notes.

    out: as `analyse` has filled it, the notes in octaves above 27.5 Hz.
    """
    mel, notes = out
    for at in range(rows.size):
        bands = floats(rows[at] + mel_at, mel.shape[1])
        for k in range(mel.shape[1]):
            bands[k] = mel[at, k]
        if full:
            tunings = octets(rows[at] + TUNINGS_AT, PEAKS)
            for i in range(integers(rows[at] + COUNT_AT, 1)[0]):
                tunings[i] = _tuning(notes[at, i], edges)


@jit
def _tuning(note, edges):
    """Return the histogram bin of a note (librosa `pitch_tuning`), with its float32 steps."""
    semitones = np.float32(np.float32(12.0) * note)
    # Not np.floor: a call into libm on the oldest processors.
    whole = np.float32(np.int64(semitones))
    if whole > semitones:
        whole = np.float32(whole - np.float32(1))
    residual = np.float32(semitones - whole)
    if residual >= np.float32(0.5):
        residual = np.float32(residual - np.float32(1.0))
    at = min(int((residual + 0.5) * 100), 99)
    while edges[at] > residual:
        at -= 1
    while at < 99 and edges[at + 1] <= residual:
        at += 1
    return at
