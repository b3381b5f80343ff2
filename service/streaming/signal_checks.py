"""Checks the sound of a stream: clipping, silence, DC offset, wrong rate, file header. Pure."""

from __future__ import annotations

from collections import deque

import numpy as np

from features.config import Samples
from features.containers import kinds, mpeg
from features.levels import CLIPPED_SHARE, FULL_SCALE, SILENCE_PEAK
from features.mixdown import DETAIL
from service.protocol import Warn, WarningKind

PERIOD_S = 2
"""Seconds of sound that are checked together."""
DC_SHARE = 0.05
SPECTRUM = 4_096
"""Samples of the spectrum that stands for a period."""
EMPTY_ABOVE = 10 ** (-70 / 10)
"""Power above a quarter of the rate, relative to all, up to which that band counts as empty."""
EMPTY_PERIODS = 5
"""After a period with sound above, so many minus one are not looked at: a spectrum costs as much as
all the rest."""
_TAPER: Samples = np.hanning(SPECTRUM).astype(np.float32)


def check_header(audio: bytes | memoryview, *, at: int) -> list[Warn]:
    """Return a warning when a stream whose first sample has index `at` begins like a file."""
    kind = _file_kind(bytes(audio[:8_192]))
    if not kind:
        return []
    detail = (
        f"the audio begins like a {kind} file; a stream carries bare samples,"
        " the file is heard as noise"
    )
    return [Warn(kind="header", detail=detail, from_sample=at)]


def _file_kind(data: bytes) -> str:
    if kind := kinds.by_magic(data):
        return "Ogg" if kind.name == "OGG" else kind.name
    if data[:3] == b"ID3" or (data[:1] == b"\xff" and mpeg.find(data, end=2) == 0):
        return "MP3"
    return "WAV" if data[:4] == b"RIFF" else ""


class SignalChecker:
    """Checks a stream period by period; repeats no kind of warning within `every_s` seconds."""

    _sum: float
    _peak: float
    _clipped: int

    def __init__(self, sample_rate: int, *, every_s: float) -> None:
        self._sample_rate = sample_rate
        self._interval = round(every_s * sample_rate)
        self._next_warning: dict[str, int] = {}
        self._empty_periods = self._skipped_periods = 0
        self.silent = False
        """Whether no sample of the last feed is above -80 dB."""
        self._tail: deque[Samples] = deque()
        self._reset()

    def feed(self, samples: Samples, *, at: int) -> list[Warn]:
        """Return the warnings that samples complete, float32 (n,), the first with index `at`."""
        if not len(samples):
            return []
        self._count += len(samples)
        self._sum += float(samples.sum())
        peak = max(-float(samples.min()), float(samples.max()))
        self._peak = max(self._peak, peak)
        self.silent = peak < SILENCE_PEAK
        if peak >= FULL_SCALE:
            self._clipped += int(np.count_nonzero(np.abs(samples) >= FULL_SCALE))
        if not self._skipped_periods:
            self._keep(samples)
        if self._count < PERIOD_S * self._sample_rate:
            return []
        problems = self._check()
        self._reset()
        return [
            warning
            for kind, detail in problems.items()
            if (warning := self._warn(kind, detail, at=at))
        ]

    def opposite(self, *, at: int) -> list[Warn]:
        """Return the warning that one of opposite channels is used at a sample, unless repeated."""
        warning = self._warn("opposite_channels", DETAIL, at=at)
        return [warning] if warning else []

    def _keep(self, samples: Samples) -> None:
        """Keep the last chunks, enough for a spectrum."""
        self._tail.append(samples)
        self._kept += len(samples)
        while self._kept - len(self._tail[0]) >= SPECTRUM:
            self._kept -= len(self._tail.popleft())

    def _check(self) -> dict[WarningKind, str]:
        problems: dict[WarningKind, str] = {}
        mean = self._sum / self._count
        if self._clipped > CLIPPED_SHARE * self._count:
            problems["clipping"] = (
                f"{self._clipped / self._count:.1%} of the samples are at full scale: too loud"
            )
        if self._peak < SILENCE_PEAK:
            problems["silence"] = "no sample above -80 dB: is the microphone on?"
        if abs(mean) > DC_SHARE:
            problems["dc_offset"] = (
                f"the mean is {mean:+.2f} instead of 0: a fault of the device or of the encoding"
            )
        if self._is_empty_above():
            problems["sample_rate"] = (
                f"nothing above {self._sample_rate // 4} Hz:"
                f" is the sample rate really {self._sample_rate}?"
            )
        return problems

    def _is_empty_above(self) -> bool:
        """Return whether the last periods had sound, but none above a quarter of the rate."""
        if self._skipped_periods:
            self._skipped_periods -= 1
            return False
        block = np.concatenate(self._tail)[-SPECTRUM:]
        block -= block.mean()
        power = np.abs(np.fft.rfft(block * _TAPER)) ** 2
        total = power.sum()
        empty = self._peak >= SILENCE_PEAK and power[len(power) // 2 :].sum() <= EMPTY_ABOVE * total
        self._empty_periods = self._empty_periods + 1 if empty else 0
        self._skipped_periods = 0 if empty else EMPTY_PERIODS - 1
        return self._empty_periods >= EMPTY_PERIODS

    def _warn(self, kind: WarningKind, detail: str, *, at: int) -> Warn | None:
        if at < self._next_warning.get(kind, 0):
            return None
        self._next_warning[kind] = at + self._interval
        return Warn(kind=kind, detail=detail, from_sample=at)

    def _reset(self) -> None:
        self._count = self._clipped = self._kept = 0
        self._sum = self._peak = 0.0
        self._tail.clear()
