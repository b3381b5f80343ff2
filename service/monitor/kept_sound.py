"""Keeps the sound around events as WAV files, within a bound of bytes; without it, none is kept."""

from __future__ import annotations

import wave
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from common.atomic import atomic_file
from features.config import Samples

LONGEST_S = 60.0
"""Seconds of sound in memory: of longer events the end is kept."""


@dataclass(frozen=True)
class Clip:
    """Sound to be written."""

    path: Path
    sample_rate: int
    samples: npt.NDArray[np.int16]
    """Shape (n, channels)."""


class RecentSound:
    """The last minute of one stream, and the clips that still wait for their end. Pure."""

    def __init__(self, sample_rate: int, *, around_s: float) -> None:
        """around_s: seconds kept before and after an event."""
        self._rate, self._around = sample_rate, round(around_s * sample_rate)
        self._chunks: deque[npt.NDArray[np.int16]] = deque()
        self._begin = self._end = 0
        self._waiting: list[tuple[Path, int, int]] = []

    def add(self, samples: Samples) -> list[Clip]:
        """Add sound, float (n,) or (n, channels) in [-1, 1]; return clips that are whole now."""
        columns = samples.reshape(len(samples), -1)
        self._chunks.append(np.round(np.clip(columns, -1, 1) * (2**15 - 1)).astype(np.int16))
        self._end += len(columns)
        while self._end - self._begin - len(self._chunks[0]) >= LONGEST_S * self._rate:
            self._begin += len(self._chunks.popleft())
        return self._take(self._end)

    def keep(self, path: Path, start_sample: int, end_sample: int) -> None:
        """Ask for the sound of an event, which `add` or `finish` returns once it is whole."""
        self._waiting.append((path, start_sample - self._around, end_sample + self._around))

    def finish(self) -> list[Clip]:
        """Return the clips that still wait, as far as there is sound of them."""
        return self._take(None)

    def _take(self, until: int | None) -> list[Clip]:
        whole = [each for each in self._waiting if until is None or each[2] <= until]
        self._waiting = [each for each in self._waiting if each not in whole]
        clips = [Clip(path, self._rate, self._between(start, end)) for path, start, end in whole]
        return [clip for clip in clips if len(clip.samples)]

    def _between(self, start: int, end: int) -> npt.NDArray[np.int16]:
        parts, at = [], self._begin
        for chunk in self._chunks:
            parts.append(chunk[max(0, start - at) : max(0, end - at)])
            at += len(chunk)
        return np.concatenate(parts) if parts else np.zeros((0, 1), np.int16)


def write_clip(clip: Clip, *, folder: Path, max_bytes: int) -> None:
    """Write a clip as WAV, and remove the oldest of its folder past a bound. Raises OSError."""
    with atomic_file(clip.path) as draft, wave.open(str(draft), "wb") as file:
        file.setnchannels(clip.samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(clip.sample_rate)
        file.writeframes(clip.samples.astype("<i2").tobytes())
    kept = sorted((path.stat().st_mtime_ns, path) for path in folder.rglob("*.wav"))
    total = sum(path.stat().st_size for _, path in kept)
    for _, path in kept:
        if total <= max_bytes:
            return
        total -= path.stat().st_size
        path.unlink()
