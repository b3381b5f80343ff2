"""librosa's answer and scipy's, and sounds on which to compare."""

import platform
import warnings

import librosa
import numpy as np
import scipy.fft
from numpy.testing import assert_allclose, assert_array_equal

RATE = 22_050
TIME = np.arange(2 * RATE) / RATE


def features(y):
    """The 26 numbers as a user of librosa 0.11 computes them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa warns of silence
        rows = [
            librosa.feature.chroma_stft(y=y, sr=RATE),
            librosa.feature.rms(y=y),
            librosa.feature.spectral_centroid(y=y, sr=RATE),
            librosa.feature.spectral_bandwidth(y=y, sr=RATE),
            librosa.feature.spectral_rolloff(y=y, sr=RATE),
            librosa.feature.zero_crossing_rate(y),
        ]
        return np.array(
            [row.mean() for row in rows]
            + [*librosa.feature.mfcc(y=y, sr=RATE, n_mfcc=20).mean(axis=1)]
        )


def log_mel(y):
    return librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=RATE))


def assert_scipys_dct(found, values):
    """To the last bit; within two roundings where scipy's compiler fuses products with sums."""
    expected = scipy.fft.dct(values, type=2, norm="ortho", axis=1)
    if dct_rounding(expected):
        assert_allclose(found, expected, rtol=0, atol=dct_rounding(expected))
    else:
        assert_array_equal(found, expected)


def dct_rounding(expected):
    """How far scipy's DCT may be from the kernel's on this processor."""
    if platform.machine() == "x86_64":
        return 0.0
    return 2 * np.finfo(np.float32).eps * float(np.abs(expected).max())


def noise(seed, *, level=0.1):
    return (level * np.random.default_rng(seed).standard_normal(TIME.size)).astype(np.float32)


def melody(seed):
    """Plucked notes with overtones, off the 440 Hz grid by a random tuning."""
    rng = np.random.default_rng(seed)
    y, tuning = np.zeros(TIME.size), rng.uniform(-0.5, 0.5)
    for onset in rng.uniform(0, 1.8, 8):
        pitch = 440 * 2 ** ((rng.integers(-24, 24) + tuning) / 12)
        t = np.maximum(TIME - onset, 0)
        note = sum(
            np.sin(2 * np.pi * pitch * k * t) / k for k in range(1, 9) if pitch * k < RATE / 2
        )
        y += (onset <= TIME) * np.exp(-4 * t) * note
    return (0.2 * y).astype(np.float32)


def tone(hertz, *, level=0.5):
    return (level * np.sin(2 * np.pi * hertz * TIME)).astype(np.float32)


def clicks(*places):
    y = np.zeros(TIME.size, np.float32)
    y[list(places)] = 1
    return y


SOUNDS = {
    "white noise": noise(0),
    "brown noise": (np.cumsum(noise(1)) / 50).astype(np.float32),
    "silence": np.zeros(TIME.size, np.float32),
    "negative zero": -np.zeros(TIME.size, np.float32),
    "one click": clicks(20_000),
    "clicks at the edges": clicks(0, 500, 44_099),
    "half silent": np.where(TIME < 1, 0, melody(2)).astype(np.float32),
    "dc": np.full(TIME.size, 0.5, np.float32),
    "dc with noise": noise(3, level=0.01) - np.float32(0.3),
    "440 Hz": tone(440),
    "tone on a bin": tone(50 * RATE / 2048),
    "10 kHz": tone(10_000),
    "20 Hz": tone(20),
    "clipped": np.clip(melody(4) * 50, -1, 1),
    "square": np.sign(tone(220)),
    "very quiet noise": noise(5, level=1e-6),
    "below the floor": noise(6, level=1e-12),
    "very quiet tone": tone(1_000, level=1e-5),
    "loud": noise(7, level=30),
    "sweep": np.sin(2 * np.pi * (50 + 2_000 * TIME) * TIME).astype(np.float32),
    **{f"melody {seed}": melody(seed) for seed in range(8)},
}
