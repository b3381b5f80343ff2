"""Variants of a window by name: nine that change the sound itself, and room, codec and microphone.

A variant is a function of the samples and a generator, so the same seed gives the same samples in
any process. What audiomentations has is taken from there; it draws from Python's and numpy's global
generators, which are set for the length of a call and put back.
"""

from __future__ import annotations

import hashlib
import random
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import fft, signal

from training.common.labels import RATE
from training.notes.augment import ROOMS, Augmentation, compress, response, room
from training.recordings.collection import CollectionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from features.config import Samples

VERSION = 1
"""Raised whenever the same seed would give other samples."""
OF_FOLDER = "background_mask"
"""The variant that takes its sounds from a folder, where one is given."""
_lock = threading.Lock()
_listed: dict[str, str] = {}


@dataclass(frozen=True)
class Variant:
    """One augmentation of a window."""

    apply: Callable[[Samples, np.random.Generator], Samples]
    about: str
    speeds: tuple[float, float] = (1.0, 1.0)
    """Seconds of the clip that one second of the window holds, lowest and highest."""


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Set Python's and numpy's global generators for the length of a block, one block at a time."""
    with _lock:
        before = random.getstate(), np.random.get_state()  # noqa: NPY002
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(before[0])
            np.random.set_state(before[1])  # noqa: NPY002


def seed_of(seed: int, name: str, start: float, variant: str) -> int:
    """Return the seed of one window, from the recipe's seed, the recording, start and variant."""
    return int.from_bytes(
        hashlib.sha256(f"{VERSION}|{seed}|{name}|{start:.4f}|{variant}".encode()).digest()[:8]
    )


def speed_of(variant: str, seed: int) -> float:
    """Return the seconds of the clip in one second of the augmented window; mostly 1."""
    low, high = VARIANTS[variant].speeds
    return float(np.exp(np.random.default_rng([seed, 1]).uniform(np.log(low), np.log(high))))


def apply_variant(
    samples: Samples,
    variant: str,
    seed: int,
    *,
    length: int,
    background: str = "",
    content: str = "",
) -> Samples:
    """Return one variant of a window, float32 (length,), peak at most 1; silence stays silence.

    samples: the window at 22,050 Hz, `speed_of` times `length` long. background: a folder of sounds
    for background_mask. content: changes when its sounds do. Raises CollectionError for a name that
    is not in VARIANTS.
    """
    check_names([variant])
    if not samples.any():
        return np.zeros(length, np.float32)
    rng = np.random.default_rng([seed, 0])
    if variant == OF_FOLDER and background:
        augmented = _of_folder(samples, rng, background, content)
    elif variant == "speed":
        rate = speed_of(variant, seed)
        augmented = _audiomentation(
            samples, rng, "TimeStretch", min_rate=rate, max_rate=rate, leave_length_unchanged=False
        )
    else:
        augmented = VARIANTS[variant].apply(samples, rng)
    augmented = np.pad(augmented[:length], (0, max(0, length - len(augmented))))
    return (augmented / np.float32(max(1.0, float(np.abs(augmented).max())))).astype(np.float32)


def check_names(variants: tuple[str, ...] | list[str]) -> None:
    """Raise CollectionError for a variant that is not there, or there twice."""
    if unknown := [name for name in variants if name not in VARIANTS]:
        raise CollectionError(f"no variant {unknown[0]!r}; there is {', '.join(VARIANTS)}")
    if len(set(variants)) < len(variants):
        raise CollectionError(f"a variant is named twice: {', '.join(variants)}")


@lru_cache(maxsize=64)
def _transform(name: str, settings: tuple[tuple[str, Any], ...]) -> Any:
    try:
        import audiomentations
    except ModuleNotFoundError as error:
        raise CollectionError(
            "this variant needs audiomentations: pip install 'timbre[train]'"
        ) from error
    return getattr(audiomentations, name)(p=1.0, **dict(settings))


def _audiomentation(
    samples: Samples, rng: np.random.Generator, name: str, **settings: Any
) -> Samples:
    transform = _transform(name, tuple(settings.items()))
    with seeded(int(rng.integers(2**32))):
        return np.asarray(transform(np.ascontiguousarray(samples), RATE), np.float32)


def _of_folder(samples: Samples, rng: np.random.Generator, folder: str, content: str) -> Samples:
    # The library lists the folder, and keeps sounds of it, once.
    if _listed.get(folder) != content:
        _transform.cache_clear()
        _listed[folder] = content
    return _audiomentation(
        samples, rng, "AddBackgroundNoise", sounds_path=folder, min_snr_db=3, max_snr_db=25
    )


def _by_audiomentations(
    name: str, **settings: Any
) -> Callable[[Samples, np.random.Generator], Samples]:
    return lambda samples, rng: _audiomentation(samples, rng, name, **settings)


def harmonic_noise(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples with a hum of 40 to 400 Hz and up to 12 partials, 10 to 35 dB below."""
    base, partials = np.exp(rng.uniform(np.log(40), np.log(400))), int(rng.integers(3, 13))
    time = np.arange(len(samples)) / RATE
    order = np.arange(1, partials + 1)
    heights = rng.uniform(0.3, 1.0, partials) / order ** rng.uniform(0.3, 1.5)
    phases = rng.uniform(0, 2 * np.pi, partials)
    hum = np.zeros(len(samples))
    for number, height, phase in zip(order, heights, phases, strict=True):
        hum += height * np.sin(2 * np.pi * base * number * time + phase)
    return _at_ratio(samples, hum, rng.uniform(10, 35))


def _at_ratio(samples: Samples, noise: Any, ratio_db: float) -> Samples:
    wanted = np.sqrt(np.mean(np.square(samples, dtype=np.float64))) * 10 ** (-ratio_db / 20)
    return np.asarray(samples + noise * (wanted / np.sqrt(np.mean(np.square(noise)))), np.float32)


def volume_sections(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples in two to six sections, each at its own level of -12 to +6 dB."""
    count = int(rng.integers(2, 7))
    borders = np.sort(rng.uniform(0, len(samples), count - 1))
    section = np.searchsorted(borders, np.arange(len(samples)))
    decibels = rng.uniform(-12, 6, count)[section]
    width = RATE * 30 // 1000
    smooth = np.convolve(
        np.pad(decibels, width // 2, mode="edge"), np.full(width, 1 / width), mode="same"
    )
    smooth = smooth[width // 2 : width // 2 + len(samples)]
    return (samples * 10 ** (smooth / 20)).astype(np.float32)


def masked_normalisation(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples with everything above a mask brought nearer to one loudness.

    The mask is 20 to 45 dB below the loudest 23 ms; the loudness -30 to -14 dB of full scale; 30 to
    100 % of the way.
    """
    frame = 512
    padded = np.pad(samples, (0, -len(samples) % frame)).reshape(-1, frame)
    loud = np.sqrt(np.mean(np.square(padded, dtype=np.float64), axis=1))
    mask = loud >= loud.max() * 10 ** (-rng.uniform(20, 45) / 20)
    target = 10 ** (rng.uniform(-30, -14) / 20)
    gains = np.where(mask, (target / np.maximum(loud, 1e-9)) ** rng.uniform(0.3, 1.0), 1.0)
    # From one frame's gain to the next in a line, in decibels.
    centres = np.arange(len(gains)) * frame + frame / 2
    curve = np.interp(np.arange(len(samples)), centres, np.log(gains))
    return np.asarray(samples * np.exp(curve), np.float32)


def add_reverberation(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples in one of the rooms of training.notes.augment (0.1 to 2.5 s)."""
    echo = fft.irfft(room(int(rng.integers(ROOMS))))[:RATE]
    wet = signal.fftconvolve(samples, echo)[: len(samples)]
    return np.asarray(samples + rng.uniform(0.1, 0.9) * wet, np.float32)


def encode_mp3(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples after MP3 and back."""
    return compress(samples, float(rng.uniform(0.5, 1.0)))


def change_microphone(samples: Samples, rng: np.random.Generator) -> Samples:
    """Return the samples as another microphone gives them: a tilt, up to three bumps, no bass."""
    curve = np.abs(
        response(
            Augmentation(
                tilt=float(rng.normal(0, 1.2)),
                bumps=tuple(
                    (rng.uniform(-4, 4), rng.uniform(0.3, 1.5), rng.normal(0, 4)) for _ in range(3)
                ),
                low_cut=float(np.exp(rng.uniform(np.log(30), np.log(250)))),
            )
        )
    )
    size = fft.next_fast_len(len(samples) + RATE // 4, real=True)
    gain = np.interp(np.fft.rfftfreq(size), np.linspace(0, 0.5, len(curve)), curve)
    return np.asarray(fft.irfft(fft.rfft(samples, size) * gain, size)[: len(samples)], np.float32)


VARIANTS: dict[str, Variant] = {
    "random_noise": Variant(
        _by_audiomentations("AddGaussianSNR", min_snr_db=5.0, max_snr_db=40.0),
        "white noise, 5 to 40 dB below",
    ),
    "background_mask": Variant(
        _by_audiomentations("AddColorNoise", min_snr_db=3.0, max_snr_db=25.0),
        "other sounds, or coloured noise, 3 to 25 dB below",
    ),
    "pitch_adjust": Variant(
        _by_audiomentations("PitchShift", min_semitones=-0.5, max_semitones=0.5),
        "out of tune by up to half a semitone",
    ),
    "harmonic_noise": Variant(harmonic_noise, "a hum of up to twelve partials, 10 to 35 dB below"),
    "volume_sections": Variant(volume_sections, "two to six sections, each at its own level"),
    "pitch_change": Variant(
        _by_audiomentations("PitchShift", min_semitones=-3.0, max_semitones=3.0),
        "up to three semitones higher or lower",
    ),
    "volume": Variant(
        _by_audiomentations("Gain", min_gain_db=-20.0, max_gain_db=6.0),
        "as a whole louder or softer",
    ),
    "speed": Variant(
        lambda samples, _: samples,
        "0.8 to 1.25 times as fast, at the same pitch",
        speeds=(0.8, 1.25),
    ),
    "masked_normalisation": Variant(
        masked_normalisation, "what is above a mask brought nearer to one loudness"
    ),
    "room": Variant(add_reverberation, "in a room"),
    "codec": Variant(encode_mp3, "through MP3"),
    "microphone": Variant(change_microphone, "through another microphone"),
}
