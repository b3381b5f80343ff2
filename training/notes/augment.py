"""Augmentation of windows: room, microphone, noise, level, distortion, codec.

*Draw, then apply*: `draw` decides everything from a generator, `apply` is a pure function of the
samples and what was drawn. Microphone, room and noise are one multiplication in the frequency
domain, so a window costs two FFTs.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import soundfile as sf
from scipy import fft

from training.common.labels import RATE
from training.notes.mixtures import PRE_ROLL, WINDOW

if TYPE_CHECKING:
    from features.config import Samples

ROOMS = 200
# Room tails of up to 1 s wrap into the part before the window, which is cut away; 88,200 = 2^3 3^2
# 5^2 7^2.
_SIZE = 88_200
_FREQUENCIES = np.fft.rfftfreq(_SIZE, 1 / RATE)
_GRID = np.geomspace(20.0, RATE / 2, 128)
_OCTAVES = np.log2(_GRID / 640.0)
# Where each FFT bin lies on the coarse grid: the microphone's response is drawn there and read off
# for all bins.
_BINS = np.interp(np.log(np.maximum(_FREQUENCIES, 20.0)), np.log(_GRID), np.arange(128.0)).astype(
    np.float32
)
_BIN_LOW = np.minimum(_BINS.astype(np.int64), 126)
_BIN_PART = _BINS - _BIN_LOW

Spectrum: TypeAlias = npt.NDArray[np.complex64]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Everything decided for one window. The default only sets the level (peak at 0 dB)."""

    tilt: float = 0.0
    """dB per octave around 640 Hz."""
    bumps: tuple[tuple[float, float, float], ...] = ()
    """Peaks of the microphone's response: octaves from 640 Hz, width in octaves, dB."""
    low_cut: float = 0.0
    """Hz; 12 dB per octave below it."""
    high_cut: float = 0.0
    """Hz; nothing is left above it (codec, telephone). 0: no cut."""
    room: int | None = None
    """Number of one of the ROOMS."""
    wet: float = 0.0
    """Amplitude of the room against the direct sound."""
    comb: tuple[float, float] = (0.0, 0.0)
    """A second path to the microphone: delay in s, amplitude."""
    noise: tuple[float, float, int] | None = None
    """Slope in dB per octave, signal-to-noise ratio in dB, seed."""
    drive: float = 0.0
    """Soft saturation: the peak in units of the curve's knee."""
    clip: float = 1.0
    """Part of the peak where hard clipping begins."""
    codec: float | None = None
    """MP3 compression level in [0, 1], 1 is the smallest file; None: no MP3."""
    peak_db: float = 0.0
    """Peak of the result in dB of full scale."""


def draw(rng: np.random.Generator) -> Augmentation:
    """Return what happens to one window; about one in eight stays clean but for its level."""
    peak_db = float(-rng.exponential(9.0)) if rng.random() < 0.8 else float(rng.uniform(-40, 0))
    if rng.random() < 0.12:
        return Augmentation(peak_db=peak_db)
    sometimes = rng.random(8)
    return Augmentation(
        tilt=float(rng.normal(0, 0.8)),
        bumps=tuple(
            (rng.uniform(-4, 4), rng.uniform(0.3, 1.5), rng.normal(0, 3))
            for _ in range(rng.integers(4))
        ),
        low_cut=float(np.exp(rng.uniform(np.log(30), np.log(250)))) if sometimes[0] < 0.3 else 0.0,
        high_cut=float(np.exp(rng.uniform(np.log(3400), np.log(11000))))
        if sometimes[1] < 0.12
        else 0.0,
        room=int(rng.integers(ROOMS)) if sometimes[2] < 0.6 else None,
        wet=float(rng.uniform(0.05, 0.9)),
        comb=(rng.uniform(0.0003, 0.012), rng.uniform(-0.7, 0.7))
        if sometimes[3] < 0.2
        else (0.0, 0.0),
        noise=(rng.uniform(-6, 0.5), rng.uniform(12, 60), int(rng.integers(2**31)))
        if sometimes[4] < 0.6
        else None,
        drive=float(rng.uniform(0.3, 2.5)) if sometimes[5] < 0.12 else 0.0,
        clip=float(rng.uniform(0.3, 0.95)) if sometimes[6] < 0.06 else 1.0,
        codec=float(rng.uniform(0.3, 1.0)) if sometimes[7] < 0.06 else None,
        peak_db=peak_db,
    )


def apply(samples: Samples, drawn: Augmentation) -> Samples:
    """Return the augmented window, float32 (WINDOW,); silence stays silence.

    samples: (PRE_ROLL + WINDOW,).
    """
    spectrum = fft.rfft(samples, _SIZE)
    spectrum *= response(drawn)
    if drawn.noise:
        spectrum += _noise(spectrum, *drawn.noise)
    result = fft.irfft(spectrum, _SIZE)[PRE_ROLL : PRE_ROLL + WINDOW]
    if drawn.codec is not None:
        result = compress(result, drawn.codec)
    return level(distort(result, drawn), drawn.peak_db)


def response(drawn: Augmentation) -> Spectrum:
    """Return room, microphone and second path as one frequency response, shape (44101,)."""
    decibels = drawn.tilt * _OCTAVES
    for centre, width, gain in drawn.bumps:
        decibels = decibels + gain * np.exp(-0.5 * ((_OCTAVES - centre) / width) ** 2)
    if drawn.low_cut:
        decibels = decibels - 10 * np.log10(1 + (drawn.low_cut / _GRID) ** 4)
    coarse = (10 ** (np.clip(decibels, -60, 24) / 20)).astype(np.float32)
    curve = coarse[_BIN_LOW] * (1 - _BIN_PART) + coarse[_BIN_LOW + 1] * _BIN_PART
    if drawn.high_cut:
        curve[int(drawn.high_cut / _FREQUENCIES[1]) :] = 0.0
    if drawn.room is None and not drawn.comb[1]:
        plain: Spectrum = curve.astype(np.complex64)
        return plain
    paths = np.ones(len(curve), np.complex64)
    if drawn.room is not None:
        paths += np.float32(drawn.wet) * room(drawn.room)
    if drawn.comb[1]:
        paths += drawn.comb[1] * np.exp(-2j * np.pi * drawn.comb[0] * _FREQUENCIES).astype(
            np.complex64
        )
    paths *= curve
    return paths


@lru_cache(maxsize=ROOMS)
def room(number: int) -> Spectrum:
    """Return the spectrum of a room's echo without the direct sound: early reflections and tail.

    Reverberation time 0.1 to 2.5 s; high frequencies die sooner. Energy 1.
    """
    rng = np.random.default_rng([number, 0x600D])
    reverberation = float(np.exp(rng.uniform(np.log(0.1), np.log(2.5))))
    time = np.arange(PRE_ROLL) / RATE
    size = rng.uniform(0.002, 0.03)
    bright, dark = rng.normal(size=(2, PRE_ROLL)) * 10 ** (
        -3 * time / (reverberation * np.array([[0.4], [1.0]]))
    )
    smoothing = int(rng.integers(2, 12))
    dark = np.convolve(dark, np.ones(smoothing) / np.sqrt(smoothing), mode="same")
    echo = (bright + dark) * (time > size)
    for delay in size * rng.uniform(0.4, 3.0, int(rng.integers(2, 9))):
        echo[int(delay * RATE)] += rng.normal() * rng.uniform(2, 8)
    spectrum: Spectrum = fft.rfft((echo / np.linalg.norm(echo)).astype(np.float32), _SIZE)
    return spectrum


def _noise(spectrum: Spectrum, slope: float, ratio_db: float, seed: int) -> Spectrum:
    rng = np.random.default_rng(seed)
    flat = rng.standard_normal(2 * len(spectrum), np.float32).view(np.complex64)
    coarse = (10 ** (np.clip(slope * _OCTAVES, -60, 24) / 20)).astype(np.float32)
    noise: Spectrum = flat * coarse[_BIN_LOW]
    # The noise fills all of the transform, the sound only what is not padding.
    wanted = (
        np.linalg.norm(spectrum) * 10 ** (-ratio_db / 20) * np.sqrt(_SIZE / (PRE_ROLL + WINDOW))
    )
    return noise * np.float32(wanted / np.linalg.norm(noise))


def distort(samples: Samples, drawn: Augmentation) -> Samples:
    """Return the samples with soft saturation and hard clipping, both relative to their peak."""
    peak = float(np.abs(samples).max())
    if not peak:
        return samples
    if drawn.drive:
        samples = np.tanh(samples * np.float32(drawn.drive / peak))
        peak = float(np.abs(samples).max())
    limit = np.float32(peak * drawn.clip)
    return samples if drawn.clip >= 1 else np.clip(samples, -limit, limit)


def compress(samples: Samples, strength: float) -> Samples:
    """Return the samples after MP3 and back, same shape; the encoder's own delay is left in."""
    peak = max(1e-9, float(np.abs(samples).max()))
    file = io.BytesIO()
    sf.write(file, samples / peak * 0.9, RATE, format="MP3", compression_level=min(strength, 0.999))
    decoded, _ = sf.read(io.BytesIO(file.getvalue()), dtype="float32")
    return np.pad(decoded[: len(samples)], (0, max(0, len(samples) - len(decoded)))) * np.float32(
        peak / 0.9
    )


def level(samples: Samples, peak_db: float) -> Samples:
    """Return the samples with their peak at peak_db; silence as it is."""
    peak = float(np.abs(samples).max())
    return (
        (samples * np.float32(10 ** (peak_db / 20) / peak)).astype(np.float32) if peak else samples
    )
