"""Interleaved channels to mono samples, in one pass over the received bytes; checks of whole files.

Two channels that are each other's opposite leave nothing when they are averaged: of a file the
louder one is used instead.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from features.config import Samples
from features.containers.notes import Doubt
from features.kernel_loader import address, entries
from features.layout import STEP_16
from features.levels import MAX_FLOAT, check_levels
from features.wav import Values

FULL_SCALE = 0.999
CLIPPED_SHARE = 1e-3
SILENCE_PEAK = 10 ** (-80 / 20)
DC_SHARE = 0.05
OPPOSITE = 1e-3
"""Power of the mean of the channels, relative to theirs, below which they are opposite."""
NARROW_RATE = 11_025
"""Hertz of a file, up to which much of what models hear is missing."""
SPECTRUM = 4_096
EMPTY_ABOVE = 10 ** (-70 / 10)
"""Power above a quarter of the rate, relative to all, up to which that band counts as empty."""
EMPTY_SECONDS = 10.0
"""Sounds that are shorter may well have no highs."""
_PIECE = 1 << 16
"""Frames that are mixed down in one way."""
_STEP = 16
"""Of so many samples one is looked at for the power of the channels."""
_TAPER: Samples = np.hanning(SPECTRUM).astype(np.float32)
_ENTRIES = {"h": "mix_int16", "f": "mix_float32"}


def mixdown(samples: npt.NDArray[np.int16] | npt.NDArray[np.float32], *, channels: int) -> Samples:
    """Return the mean over interleaved channels, float32 (n,), as a new array.

    samples: n x `channels` values, flat or (n, channels); int16 is scaled to [-1, 1), float32 is
    kept as it is. Raises TypeError on another dtype, ValueError on a part of a sample.
    """
    code = samples.dtype.char
    if code not in _ENTRIES:
        raise TypeError(f"samples of {samples.dtype}: int16 or float32 are needed")
    count, rest = divmod(samples.size, channels)
    if rest:
        raise ValueError(f"{samples.size} values are not a whole number of {channels} channels")
    # numpy's own loop is as fast, and small messages pay nothing for the call.
    if channels == 1:
        mono: Samples = samples.ravel().astype(np.float32)
        if code == "h":
            mono *= STEP_16
        return mono
    contiguous = np.ascontiguousarray(samples)
    mono = np.empty(count, np.float32)
    entries()[_ENTRIES[code]](address(contiguous), channels, count, address(mono))
    return mono


class SoundChecker:
    """Mixes a sound down block by block, and knows afterwards what is odd about it."""

    def __init__(self) -> None:
        self._count = self._clipped = self._values = 0
        self._sum = self._peak = 0.0
        self._opposite = 0.0
        self._rates: set[int] = set()
        self._seconds = 0.0
        self._has_highs = False

    def mix(self, block: Values, *, rate: int) -> Samples:
        """Return the mean over the channels of a block, (frames, channels), as float32 (frames,).

        rate: hertz. Raises Unprocessable if samples are NaN or far beyond [-1, 1].
        """
        self._check_peak(block)
        channels = block.shape[1]
        mono = mixdown(block, channels=channels)
        if channels > 1:
            self._keep_opposite(block, mono, rate)
        self._count += len(mono)
        self._seconds += len(mono) / rate
        self._rates.add(rate)
        self._sum += float(mono.sum())
        if not self._has_highs:
            self._has_highs = _has_highs(mono)
        return mono

    def warnings(self) -> list[Doubt]:
        """Return the doubts about all blocks."""
        found = []
        if self._opposite:
            found.append(
                Doubt(
                    "opposite_channels",
                    f"in {self._opposite:.1f} s the channels are each other's opposite and their"
                    " mean is nothing: the louder one is used",
                )
            )
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

    def _keep_opposite(self, block: Values, mono: Samples, rate: int) -> None:
        """Put the louder channel in the place of a mean of opposite ones."""
        for at in range(0, len(mono), _PIECE):
            some = _floats(block[at : at + _PIECE : _STEP])
            powers = np.mean(some * some, axis=0)
            middle = some.mean(axis=1)
            power = float(powers.mean())
            if power < SILENCE_PEAK**2 or float(np.mean(middle * middle)) >= OPPOSITE * power:
                continue
            piece = block[at : at + _PIECE]
            mono[at : at + _PIECE] = _floats(
                piece[:, int(np.argmax(powers > 0.999 * powers.max()))]
            )
            self._opposite += len(piece) / rate

    def _check_peak(self, block: Values) -> None:
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


def _floats(values: Values) -> Samples:
    floats: Samples = values.astype(np.float32)
    if values.dtype == np.int16:
        floats *= STEP_16
    return floats


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
