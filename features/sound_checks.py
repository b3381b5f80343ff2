"""Checks of whole files: silence, clipping, DC offset, opposite channels, a narrow band."""

from __future__ import annotations

import numpy as np

from features.config import Samples
from features.containers.notes import Doubt
from features.containers.wav import Values
from features.kernels.layout import STEP_16
from features.levels import CLIPPED_SHARE, FULL_SCALE, MAX_FLOAT, SILENCE_PEAK, check_levels
from features.mixdown import DETAIL, KIND

DC_SHARE = 0.05
NARROW_RATE = 11_025
"""Hertz of a file, up to which much of what models hear is missing."""
SPECTRUM = 4_096
EMPTY_ABOVE = 10 ** (-70 / 10)
"""Power above a quarter of the rate, relative to all, up to which that band counts as empty."""
EMPTY_SECONDS = 10.0
"""Sounds that are shorter may well have no highs."""
_TAPER: Samples = np.hanning(SPECTRUM).astype(np.float32)


class SoundChecker:
    """Knows what is odd about a sound after all of it has passed, block by block."""

    def __init__(self) -> None:
        self._count = self._clipped = self._values = 0
        self._sum = self._peak = 0.0
        self._opposite_s = 0.0
        self._rates: set[int] = set()
        self._seconds = 0.0
        self._has_highs = False

    def check_block(self, block: Values) -> None:
        """Look at samples of all channels, and raise Unprocessable on NaN or far beyond [-1, 1]."""
        scale = STEP_16 if block.dtype == np.int16 else 1.0
        low, high = float(block.min()) * scale, float(block.max()) * scale
        # Written so that NaN fails it too.
        if not (low >= -MAX_FLOAT and high <= MAX_FLOAT):
            check_levels(block)
        self._peak = float(max(self._peak, -low, high))
        self._values += block.size
        if max(-low, high) >= FULL_SCALE:
            limit = FULL_SCALE / scale
            self._clipped += int(np.count_nonzero((block >= limit) | (block <= -limit)))

    def check_mono(self, mono: Samples, *, rate: int) -> None:
        """Look at samples as they are mixed down. rate: hertz."""
        self._rates.add(rate)
        self._count += len(mono)
        self._seconds += len(mono) / rate
        self._sum += float(mono.sum())
        if not self._has_highs:
            self._has_highs = _has_highs(mono)

    def add_opposite(self, seconds: float) -> None:
        """Add seconds in which one of opposite channels was used."""
        self._opposite_s += seconds

    def warnings(self) -> list[Doubt]:
        """Return the doubts about all blocks."""
        found = []
        if self._opposite_s:
            found.append(Doubt(KIND, f"in {self._opposite_s:.1f} s {DETAIL}"))
        if self._clipped > CLIPPED_SHARE * self._values:
            share = self._clipped / self._values
            found.append(
                Doubt("clipping", f"{share:.1%} of the samples are at full scale: too loud")
            )
        if self._peak < SILENCE_PEAK:
            return [*found, Doubt("silence", "no sample above -80 dB")]
        if self._count and abs(mean := self._sum / self._count) > DC_SHARE:
            found.append(
                Doubt("dc_offset", f"the mean is {mean:+.2f} instead of 0: a fault of the recorder")
            )
        return [*found, *self._narrow()]

    def _narrow(self) -> list[Doubt]:
        rate = max(self._rates, default=0)
        if rate <= NARROW_RATE:
            what = f"recorded at {rate} Hz: it holds nothing above {rate // 2} Hz"
        elif self._seconds >= EMPTY_SECONDS and not self._has_highs:
            what = f"nothing above {rate // 4} Hz: converted from a lower rate than {rate} Hz?"
        else:
            return []
        return [Doubt("narrow_band", what)]


def _has_highs(mono: Samples) -> bool:
    """Return whether one of some spectra has power above a quarter of the rate."""
    if len(mono) < SPECTRUM:
        return False
    for at in range(0, len(mono) - SPECTRUM + 1, max(SPECTRUM, len(mono) // 8)):
        piece = mono[at : at + SPECTRUM]
        power = np.abs(np.fft.rfft((piece - piece.mean()) * _TAPER)) ** 2
        total = float(power.sum())
        if (
            total > SPECTRUM * SILENCE_PEAK**2
            and float(power[len(power) // 2 :].sum()) > EMPTY_ABOVE * total
        ):
            return True
    return False
