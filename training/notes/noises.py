"""Sounds that are no instrument: silence of several kinds, noises, voices, bangs, tones.

They belong to two families, so that one can be held out: what is called noise must not be one
generator's signature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import fft, signal

from training.common.labels import RATE
from training.notes.mixtures import WINDOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from features.config import Samples

Wave: TypeAlias = npt.NDArray[np.floating[Any]]
_TIME = np.arange(WINDOW) / RATE
_FREQUENCIES = np.maximum(np.fft.rfftfreq(WINDOW, 1 / RATE), 10.0)


def silence(rng: np.random.Generator) -> Samples:
    """Return digital silence, a constant, or noise far below the level of any instrument."""
    kind = rng.integers(5)
    level = 10 ** (rng.uniform(-110, -60) / 20)
    if kind == 0:
        return np.zeros(WINDOW, np.float32)
    if kind == 1:
        return np.full(WINDOW, rng.uniform(-0.02, 0.02), np.float32)
    sound = [coloured, hum, room_tone][kind - 2](rng)
    return (sound * (level / max(1e-9, float(np.abs(sound).max())))).astype(np.float32)


def noise(family: str, rng: np.random.Generator) -> Samples:
    """Return a sound of the family `a` or `b`, peak 1, shape (WINDOW,)."""
    makers = FAMILIES[family]
    sound = makers[rng.integers(len(makers))](rng)
    return (sound / max(1e-9, float(np.abs(sound).max()))).astype(np.float32)


def _shaped(rng: np.random.Generator, gain: Wave) -> Wave:
    flat = rng.standard_normal(2 * len(_FREQUENCIES), np.float32).view(np.complex64)
    result: Wave = fft.irfft(flat * gain.astype(np.float32), WINDOW)
    return result


def _slow(rng: np.random.Generator, per_second: float) -> Wave:
    """Return a smooth random curve in [0, 1] that changes about `per_second` times a second."""
    points = rng.random(max(4, int(per_second * WINDOW / RATE) + 3))
    return np.interp(_TIME, np.linspace(0, WINDOW / RATE, len(points)), points).astype(np.float32)


def coloured(rng: np.random.Generator) -> Wave:
    """Return noise between brown and blue."""
    return _shaped(rng, _FREQUENCIES ** rng.uniform(-1.2, 0.5))


def band(rng: np.random.Generator) -> Wave:
    """Return one to three noisy bands: hiss, a fan, a kettle, the sea."""
    octave = np.log2(_FREQUENCIES)
    gain = np.full(len(octave), 10 ** rng.uniform(-4, -1.5))
    for _ in range(rng.integers(1, 4)):
        gain += np.exp(-0.5 * ((octave - rng.uniform(6, 13)) / rng.uniform(0.05, 1.5)) ** 2)
    return _shaped(rng, gain) * (0.2 + _slow(rng, rng.uniform(0.5, 6)))


def wind(rng: np.random.Generator) -> Wave:
    """Return gusts: dark noise whose strength wanders."""
    cut = rng.uniform(60, 600)
    return (
        _shaped(rng, 1 / (1 + (_FREQUENCIES / cut) ** rng.uniform(1.5, 3)))
        * _slow(rng, rng.uniform(1, 5)) ** 2
    )


def room_tone(rng: np.random.Generator) -> Wave:
    """Return a quiet room: dark noise with a little hum in it."""
    dark = _shaped(rng, _FREQUENCIES ** rng.uniform(-1.5, -0.7))
    tone = hum(rng)
    mixed: Wave = dark / np.abs(dark).max() + tone / np.abs(tone).max() * rng.uniform(0, 0.3)
    return mixed


def hum(rng: np.random.Generator) -> Wave:
    """Return mains hum at 50 or 60 Hz with its harmonics."""
    base = rng.choice([50.0, 60.0]) * rng.uniform(0.998, 1.002)
    orders = np.arange(1, int(rng.integers(2, 30)))
    strengths = rng.random(len(orders)) / orders ** rng.uniform(0.3, 2)
    phases = rng.uniform(0, 2 * np.pi, (len(orders), 1))
    waves: Wave = np.einsum(
        "i,ij->j", strengths, np.sin(2 * np.pi * base * orders[:, None] * _TIME + phases)
    )
    return waves.astype(np.float32) + rng.normal(0, 0.01, WINDOW).astype(np.float32)


def clicks(rng: np.random.Generator) -> Wave:
    """Return clicks and crackle: single samples through a short resonance."""
    sparse = np.where(
        rng.random(WINDOW) < 10 ** rng.uniform(-4.3, -2), rng.normal(size=WINDOW), 0.0
    )
    sparse[rng.integers(WINDOW)] = 1.0
    radius, angle = rng.uniform(0.0, 0.97), rng.uniform(0.1, 3.0)
    result: Wave = signal.lfilter([1.0], [1.0, -2 * radius * np.cos(angle), radius**2], sparse)
    return result + rng.normal(0, 10 ** rng.uniform(-5, -2.5), WINDOW)


def tones(rng: np.random.Generator) -> Wave:
    """Return beeps, sweeps and sirens: one or two bare oscillators."""
    sound = np.zeros(WINDOW)
    for _ in range(rng.integers(1, 3)):
        start, stop = np.exp(rng.uniform(np.log(150), np.log(6000), 2))
        swing = rng.choice([0.0, 1.0]) * np.sin(2 * np.pi * rng.uniform(0.3, 8) * _TIME) * 0.5 + 0.5
        pitch = rng.choice(
            [
                np.full(WINDOW, start),
                np.geomspace(start, stop, WINDOW),
                start + (stop - start) * swing,
            ]
        )
        phase = 2 * np.pi * np.cumsum(pitch) / RATE
        sound += np.sin(phase) if rng.random() < 0.6 else signal.sawtooth(phase, rng.uniform(0, 1))
    if rng.random() < 0.4:
        sound *= signal.square(2 * np.pi * rng.uniform(1, 8) * _TIME) > 0
    return sound + rng.normal(0, 10 ** rng.uniform(-5, -2), WINDOW)


def drums(rng: np.random.Generator) -> Wave:
    """Return bursts: noisy and low-pitched strokes that die quickly."""
    sound = rng.normal(0, 1e-4, WINDOW)
    for start in rng.integers(0, WINDOW - 2000, int(rng.integers(1, 16))):
        time = _TIME[: WINDOW - start]
        decay = np.exp(-time / np.exp(rng.uniform(np.log(0.01), np.log(0.25))))
        drop = rng.uniform(40, 250) * time + rng.uniform(0, 3) * (1 - np.exp(-time * 30))
        body = np.sin(2 * np.pi * drop) * rng.random()
        hiss = signal.lfilter(
            [1, rng.uniform(-1, 1)], [1, rng.uniform(-0.9, 0.9)], rng.normal(size=len(time))
        )
        sound[start:] += (body + hiss * rng.random()) * decay * rng.uniform(0.2, 1)
    return sound


def voice(rng: np.random.Generator) -> Wave:
    """Return something like speech: a gliding buzz through moving formants, in syllables."""
    base = np.exp(rng.uniform(np.log(80), np.log(280)))
    pitch = base * 2 ** ((_slow(rng, rng.uniform(2, 6)) - 0.5) * rng.uniform(0.3, 1.2))
    buzz = signal.sawtooth(2 * np.pi * np.cumsum(pitch) / RATE, 0.9) + rng.normal(
        0, rng.uniform(0.05, 0.6), WINDOW
    )
    step = RATE // 8
    sound = np.zeros(WINDOW)
    for begin in range(0, WINDOW, step):
        piece = buzz[begin : begin + 2 * step]
        for low, high in ((250, 900), (800, 2400), (2200, 3500)):
            centre = rng.uniform(low, high)
            numerator, denominator = signal.iirpeak(centre, centre / rng.uniform(60, 200), fs=RATE)
            sound[begin : begin + 2 * step] += signal.lfilter(
                numerator, denominator, piece
            ) * np.hanning(len(piece))
    return sound * _slow(rng, rng.uniform(3, 9))


def babble(rng: np.random.Generator) -> Wave:
    """Return several voices at once."""
    voices: Wave = np.sum(
        [voice(rng) * rng.uniform(0.2, 1) for _ in range(int(rng.integers(3, 6)))], axis=0
    )
    return voices


FAMILIES: dict[str, tuple[Callable[[np.random.Generator], Wave], ...]] = {
    "a": (coloured, hum, clicks, tones, voice),
    "b": (band, wind, room_tone, drums, babble, coloured),
}
