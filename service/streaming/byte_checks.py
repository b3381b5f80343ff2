"""Checks whether the bytes of a stream are what `start` said: its first half second, once. Pure.

Sound is smooth: neighbouring samples are alike. Bytes that are read in a wrong way are not, and are
so again in the right way.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from service.encodings import ENCODINGS, Signal, frame_bytes
from service.protocol import Warn
from service.streaming.signal_checks import check_header

FLOATS = "pcm_f32le"
CHECKED_S = 0.5
"""Seconds of sound that are looked at."""
ROUGH = 0.5
"""Roughness beyond which bytes may be of another encoding; noise has 1."""
SMOOTH = 0.2
"""Roughness up to which they surely are."""
_MIN_SAMPLES = 256
_MIN_PEAK = 1e-3
_FLOAT_RANGE = (1e-7, 1.5)
_FLOAT_SHARE = 0.95


def _s16be(data: bytes) -> Signal:
    return np.frombuffer(data[: len(data) // 2 * 2], ">i2") / 32_768


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
    said = _named(encoding)
    if encoding != FLOATS and _is_float(data):
        return f"the bytes look like {_named(FLOATS)}, `start` said {said}"
    samples = ENCODINGS[encoding].raw(data)
    if channels == 1 and _is_stereo(samples):
        return "the samples look like two interleaved channels, `start` said channels=1"
    # Of 16-bit samples read as 32-bit ones each second remains, which is as smooth.
    if encoding == "pcm_s32le" or _roughness(samples, channels) > ROUGH:
        others = {_named(name): each.raw for name, each in ENCODINGS.items() if name != FLOATS}
        for name, read in (others | _OTHERS).items():
            if name != said and _is_smooth(read(data), channels):
                return f"the bytes look like {name}, `start` said {said}"
    return ""


def _named(encoding: str) -> str:
    return f"{ENCODINGS[encoding].words} ({encoding})"


def _is_float(data: bytes) -> bool:
    signed = ENCODINGS[FLOATS].raw(data)
    values = np.abs(signed)
    sounding = values[values > 0]
    if len(sounding) < _MIN_SAMPLES or len(sounding) < len(values) / 4:
        return False
    inside = (sounding > _FLOAT_RANGE[0]) & (sounding < _FLOAT_RANGE[1])
    if inside.mean() <= _FLOAT_SHARE:
        return False
    # A constant of 16 bits may look like floats, but like such of one sign.
    good = signed[(values > 0) & (values < _FLOAT_RANGE[1])]
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
