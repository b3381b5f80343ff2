"""Filter banks and tables, each built once per configuration.

Formulas: librosa 0.11, `filters.mel`, `filters.chroma`, `core.hz_to_octs`; Slaney's mel scale;
Ellis's chroma.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from features.config import AudioConfig
from features.kernels.layout import BANDS, digit_reversed

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]

N_CHROMA = 12
# A tuning estimate is the left edge of one of 100 histogram bins, so there are only 100 chroma
# banks.
TUNING_EDGES: Doubles = np.linspace(-0.5, 0.5, 101)
PITCH_RANGE = (150.0, 4000.0)


@dataclass(frozen=True)
class Tables:
    """The constant inputs of the kernels."""

    window: Doubles
    """Periodic Hann, shape (n_fft,)."""
    half_window: Doubles
    """Half of it, because untangling the transform doubles the result."""
    twiddles: Doubles
    """w, w**2, w**3 as (re, im) for the radix-4 butterflies, shape (n_fft / 8 * 6,)."""
    untangle: Doubles
    """exp(-2 pi i k / n_fft) as (re, im) for k = 0 .. n_fft / 4, flat."""
    places: Integers
    """Position of each bin after the transform, shape (n_fft / 2,)."""
    mel_start: Integers
    """First bin of each mel band, shape (n_mels,)."""
    mel_offset: Integers
    """Offset of each band's weights in `mel_weights`, shape (n_mels + 1,)."""
    mel_weights: Floats
    """Non-zero mel weights, band after band."""
    bin_hz: Doubles
    """Hertz between bins, shape (1,)."""
    cosines: Floats
    """Of the DCT after its FFT, cos(pi k / (2 * BANDS)) for k = 1 .. BANDS."""
    turns: Floats
    """Twiddles of the FFT inside the DCT as (cos, sin), pass after pass."""
    peak_bins: tuple[int, int]
    """First and one past the last bin that is searched for peaks of the tuning."""


@lru_cache(maxsize=8)
def tables(config: AudioConfig) -> Tables:
    """Return the tables of a configuration."""
    n = config.n_fft
    phase = np.exp(-2j * np.pi * np.outer(np.arange(n // 8), [1, 2, 3]) / (n // 2))
    untangle = np.exp(-2j * np.pi * np.arange(n // 4 + 1) / n)
    bank = mel_bank(config)
    rows = [np.flatnonzero(row) for row in bank]
    frequencies = np.fft.rfftfreq(n, 1.0 / config.sample_rate)
    peaks = np.flatnonzero((frequencies >= PITCH_RANGE[0]) & (frequencies < PITCH_RANGE[1]))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    return Tables(
        window=window,
        half_window=window / 2,
        twiddles=np.ascontiguousarray(phase).view(np.float64).ravel(),
        untangle=untangle.view(np.float64),
        places=digit_reversed(),
        mel_start=np.array([row[0] for row in rows]),
        mel_offset=np.cumsum([0, *(row[-1] - row[0] + 1 for row in rows)]),
        mel_weights=np.concatenate([bank[i, row[0] : row[-1] + 1] for i, row in enumerate(rows)]),
        bin_hz=np.array([config.sample_rate / n]),
        cosines=np.cos(np.pi * np.arange(1, BANDS + 1) / (2 * BANDS)).astype(np.float32),
        turns=_turns(),
        peak_bins=(int(peaks[0]), int(peaks[-1]) + 1),
    )


def _turns() -> Floats:
    """Return the twiddles of a real FFT of `BANDS` points with the factors 2, 4, 4, 4."""
    parts, groups = [], 1
    # The last factor needs none.
    for factor in (2, 4, 4):
        points = BANDS // (groups * factor)
        for j in range(1, factor):
            angles = 2 * np.pi * j * groups * np.arange(1, (points - 1) // 2 + 1) / BANDS
            part = np.zeros(points - 1)
            part[0 : 2 * angles.size : 2] = np.cos(angles)
            part[1 : 2 * angles.size : 2] = np.sin(angles)
            parts.append(part)
        groups *= factor
    return np.concatenate(parts).astype(np.float32)


def mel_bank(config: AudioConfig) -> Floats:
    """Return the mel bank, area-normalised, shape (n_mels, 1 + n_fft / 2) (Slaney, 1998)."""
    edges = _mel_to_hz(np.linspace(0.0, _hz_to_mel(config.sample_rate / 2), config.n_mels + 2))
    ramps = np.subtract.outer(edges, np.fft.rfftfreq(config.n_fft, 1.0 / config.sample_rate))
    width = np.diff(edges)[:, None]
    triangles = np.maximum(0, np.minimum(-ramps[:-2] / width[:-1], ramps[2:] / width[1:])).astype(
        np.float32
    )
    triangles *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    bank: Floats = triangles
    return bank


@lru_cache(maxsize=400)
def chroma_bank(config: AudioConfig, tuning_bin: int) -> Floats:
    """Return the chroma bank of the tuning TUNING_EDGES[tuning_bin], (12, 1 + n_fft / 2).

    As librosa.filters.chroma (Ellis, 2007).
    """
    n = config.n_fft
    a440 = 440.0 * 2.0 ** (TUNING_EDGES[tuning_bin] / N_CHROMA)
    notes = N_CHROMA * np.log2(
        np.linspace(0, config.sample_rate, n, endpoint=False)[1:] / (a440 / 16)
    )
    notes = np.concatenate(([notes[0] - 1.5 * N_CHROMA], notes))
    widths = np.maximum(np.diff(notes), 1.0)[: 1 + n // 2]
    notes = notes[: 1 + n // 2]
    distance = np.subtract.outer(notes, np.arange(N_CHROMA, dtype=np.float64)).T
    distance = np.remainder(distance + N_CHROMA / 2 + 10 * N_CHROMA, N_CHROMA) - N_CHROMA / 2
    bumps = np.exp(-0.5 * (2 * distance / widths) ** 2)
    bumps /= np.sqrt((bumps**2).sum(axis=0))
    bumps *= np.exp(-0.5 * ((notes / N_CHROMA - 5.0) / 2.0) ** 2)
    bumps = np.roll(bumps, -3, axis=0)
    return np.ascontiguousarray(bumps, np.float32)


def _hz_to_mel(hz: float) -> float:
    """Slaney: linear to 1 kHz, logarithmic above."""
    return float(15.0 + np.log(hz / 1000.0) / (np.log(6.4) / 27.0))


def _mel_to_hz(mels: Doubles) -> Doubles:
    linear = 200.0 / 3.0 * mels
    return np.where(mels >= 15.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mels - 15.0)), linear)
