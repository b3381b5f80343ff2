"""Seeded sounds for benchmarks: plucked notes over noise, no two alike."""

from __future__ import annotations

import io
import wave

import numpy as np

from features.config import DEFAULT, Samples


def plucked(seconds: int, *, seed: int = 0, rate: int = DEFAULT.sample_rate) -> Samples:
    """Return six notes a second over noise, float32 in about [-1, 1]."""
    rng = np.random.default_rng(seed)
    t = np.arange(seconds * rate) / rate
    sound = 0.01 * rng.standard_normal(t.size)
    for onset in rng.uniform(0, seconds, 6 * seconds):
        pitch = 440 * 2 ** (rng.integers(-24, 24) / 12)
        after = np.maximum(t - onset, 0)
        partials = sum(np.sin(2 * np.pi * k * pitch * after) / k for k in range(1, 6))
        sound += 0.1 * (t >= onset) * np.exp(-3 * after) * partials
    return sound.astype(np.float32)


def pcm(sound: Samples) -> bytes:
    """Return the sound as 16-bit samples."""
    return (np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes()


def wav(sound: Samples, *, rate: int = DEFAULT.sample_rate) -> bytes:
    """Return the sound as a WAV file of 16-bit samples."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm(sound))
    return buffer.getvalue()
