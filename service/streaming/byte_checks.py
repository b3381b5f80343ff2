"""Checks whether the bytes of a stream are what `start` said: its first half second, once. Pure.

Sound is smooth: neighbouring samples are alike. Bytes that are read in a wrong way are not, and are
so again in the right way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from service.encodings import frame_bytes
from service.protocol import Warn
from service.streaming.signal_checks import check_header

CHECKED_S = 0.5
"""Seconds of sound that are looked at."""
ROUGH = 0.5
"""Roughness beyond which bytes may be of another encoding; noise has 1."""
SMOOTH = 0.2
"""Roughness up to which they surely are."""
_MIN_SAMPLES = 256
_MIN_PEAK = 1e-3
_FLOATS = (1e-7, 1.5)
_FLOAT_SHARE = 0.95

Signal: TypeAlias = npt.NDArray[np.float64]


def _s16(data: bytes) -> Signal:
    return np.frombuffer(data[: len(data) // 2 * 2], "<i2") / 32_768


def _s16be(data: bytes) -> Signal:
    return np.frombuffer(data[: len(data) // 2 * 2], ">i2") / 32_768


def _s24(data: bytes) -> Signal:
    """The two upper bytes of three."""
    triples = np.frombuffer(data[: len(data) // 3 * 3], np.uint8).reshape(-1, 3)
    return np.ascontiguousarray(triples[:, 1:]).view("<i2").ravel() / 32_768


def _s32(data: bytes) -> Signal:
    return np.frombuffer(data[: len(data) // 4 * 4], "<i4") / 2.0**31


def _f32(data: bytes) -> Signal:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.frombuffer(data[: len(data) // 4 * 4], "<f4").astype(np.float64)


_READERS: dict[str, Callable[[bytes], Signal]] = {
    "pcm_s16le": _s16,
    "pcm_s24le": _s24,
    "pcm_s32le": _s32,
    "pcm_f32le": _f32,
}
_NAMES = {
    "pcm_s24le": "24-bit integers (pcm_s24le)",
    "pcm_s32le": "32-bit integers (pcm_s32le)",
    "pcm_s16le": "16-bit integers (pcm_s16le)",
    "pcm_f32le": "32-bit floats (pcm_f32le)",
}
_OTHERS: dict[str, Callable[[bytes], Signal]] = {"big-endian 16-bit integers": _s16be}


class ByteChecker:
    """Looks at the first bytes of a stream."""

    def __init__(self, *, encoding: str, channels: int, sample_rate: int) -> None:
        self._encoding = encoding
        self._channels = channels
        self._wanted = round(CHECKED_S * sample_rate) * frame_bytes(encoding, channels)
        self._parts: list[bytes] = []
        self._held = 0
        self.done = False
        """Whether nothing more is looked at."""

    def feed(self, audio: bytes | memoryview, *, at: int) -> list[Warn]:
        """Return the warnings that a message completes, its first sample with index `at`."""
        if self.done or not len(audio):
            return []
        part = bytes(audio[: self._wanted - self._held])
        if not self._parts and (header := check_header(part, at=at)):
            self.done = True
            return header
        self._parts.append(part)
        self._held += len(part)
        if self._held < self._wanted:
            return []
        data = b"".join(self._parts)
        self.done = True
        self._parts.clear()
        detail = suspicion(data, encoding=self._encoding, channels=self._channels)
        return [Warn(kind="encoding", detail=detail, from_sample=at)] if detail else []


def suspicion(data: bytes, *, encoding: str, channels: int) -> str:
    """Return a sentence about bytes that seem to be of another encoding; "" if they do not."""
    said = _NAMES[encoding]
    if encoding != "pcm_f32le" and _is_float(data):
        return f"the bytes look like {_NAMES['pcm_f32le']}, `start` said {said}"
    samples = _READERS[encoding](data)
    if channels == 1 and _is_stereo(samples):
        return "the samples look like two interleaved channels, `start` said channels=1"
    # Of 16-bit samples read as 32-bit ones each second remains, which is as smooth.
    if encoding == "pcm_s32le" or _roughness(samples, channels) > ROUGH:
        others = {_NAMES[name]: read for name, read in _READERS.items() if name != "pcm_f32le"}
        for name, read in (others | _OTHERS).items():
            if name != said and _is_smooth(read(data), channels):
                return f"the bytes look like {name}, `start` said {said}"
    return ""


def _is_float(data: bytes) -> bool:
    signed = _f32(data)
    values = np.abs(signed)
    sounding = values[values > 0]
    if len(sounding) < _MIN_SAMPLES or len(sounding) < len(values) / 4:
        return False
    inside = (sounding > _FLOATS[0]) & (sounding < _FLOATS[1])
    if inside.mean() <= _FLOAT_SHARE:
        return False
    # A constant of 16 bits may look like floats, but like such of one sign.
    good = signed[(values > 0) & (values < _FLOATS[1])]
    return bool(abs(good.mean()) < 0.5 * np.abs(good).mean())


def _is_smooth(samples: Signal, channels: int) -> bool:
    loud = len(samples) >= _MIN_SAMPLES and float(np.abs(samples).max()) > _MIN_PEAK
    return loud and _roughness(samples, channels) < SMOOTH


def _roughness(samples: Signal, channels: int) -> float:
    """Return the power of the differences of neighbours; 1 for noise, 0 for what never changes."""
    frames = samples[: len(samples) // channels * channels].reshape(-1, channels)
    frames = frames - frames.mean(axis=0)
    power = float(np.sum(frames * frames))
    if len(frames) < _MIN_SAMPLES or power == 0:
        return 0.0
    steps = np.diff(frames, axis=0)
    return float(np.sum(steps * steps)) / (2 * power)


def _is_stereo(samples: Signal) -> bool:
    """Return whether each second sample continues the one before the last, and no other does."""
    samples = samples[: len(samples) // 2 * 2]
    if len(samples) < 2 * _MIN_SAMPLES or np.abs(samples).max() < _MIN_PEAK:
        return False
    inside = float(np.mean((samples[1::2] - samples[::2]) ** 2))
    between = float(np.mean((samples[2::2] - samples[1:-1:2]) ** 2))
    same = float(np.mean((samples[2:] - samples[:-2]) ** 2))
    power = float(np.var(samples))
    if same > SMOOTH * power:
        return False
    apart = same < 0.3 * min(inside, between)
    # Both channels alike: pairs of equal samples, and steps between them.
    twice = inside < 0.02 * between
    return apart or (twice and between > 0)
