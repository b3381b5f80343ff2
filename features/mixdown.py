"""Interleaved channels to mono samples, in one pass over the received bytes.

Two channels that are each other's opposite leave nothing when they are averaged: the louder one is
used instead. Whether they are is decided by spans on the sample clock, so that the result depends
on the sound alone and not on how it was divided, and a stream becomes what its file does.
"""

from __future__ import annotations

from typing import Final, cast

import numpy as np
import numpy.typing as npt

from features.config import Samples
from features.containers.wav import Values
from features.kernels.layout import STEP_16
from features.kernels.loader import address, entries
from features.levels import SILENCE_PEAK

SPAN_S = 0.25
"""Seconds that are decided about together."""
OPPOSITE = 1e-3
"""Power of the mean of the channels, relative to theirs, below which they are opposite."""
KIND: Final = "opposite_channels"
DETAIL = "the channels are each other's opposite and their mean is nothing: the louder one is used"
_STEP = 13
"""Of so many samples one is looked at; no divisor of a usual rate, for a tone whose period divides
it would be looked at in one phase only."""
_AS_LOUD = 0.999
"""Share of the highest power from which the first such channel is used."""
_STAY = 0.5
"""Share of it from which the channel of the span before is kept: a change is a click."""
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


def floats(values: Values) -> Samples:
    """Return values as float32 of the same shape; int16 is scaled to [-1, 1)."""
    result: Samples = values.astype(np.float32)
    if values.dtype == np.int16:
        result *= STEP_16
    return result


class ChannelMixer:
    """Mixes interleaved channels down to their mean, or to the louder one of opposite channels.

    Each span is mixed as the one before it asks for, so that no sample waits for another; only the
    first span is held back, and is mixed as itself asks for. A silent span changes nothing.
    """

    def __init__(self, *, channels: int, rate: int, first: int = 0) -> None:
        """rate: hertz. first: index of the first sample."""
        self.opposite = 0
        """Samples for which one channel was used."""
        self.opposite_from: list[int] = []
        """Indices of samples from which one is used, of those decided in the last call."""
        self._channels = channels
        self._first = self._next = first
        self._span = max(1, round(SPAN_S * rate))
        self._louder: int | None = None
        # Of one channel the mean is the channel.
        self._held: list[Values] | None = [] if channels > 1 else None
        self._missing = self._span
        self._looked_at: list[Values] = []
        self._mean = np.full(channels, 1 / channels, np.float32)

    def feed(self, values: Values) -> Samples:
        """Return what is complete, float32 (n,), of values of shape (frames, channels)."""
        self.opposite_from.clear()
        if self._held is None:
            return self._mix(values)
        self._held.append(values)
        self._missing -= len(values)
        return np.empty(0, np.float32) if self._missing > 0 else self.finish()

    def finish(self) -> Samples:
        """Return what was held back of the first span."""
        if not self._held:
            return np.empty(0, np.float32)
        values, self._held = _joined(self._held), None
        self._decide(values[: self._span : _STEP])
        return self._mix(values)

    def _mix(self, values: Values) -> Samples:
        mono = mixdown(values, channels=self._channels)
        if self._channels == 1:
            return mono
        at, size, span = 0, len(values), self._span
        while at < size:
            here = self._next % span
            end = min(size, at + span - here)
            if self._louder is not None:
                mono[at:end] = floats(values[at:end, self._louder])
                self.opposite += end - at
            self._looked_at.append(values[at + -self._next % _STEP : end : _STEP].copy())
            self._next += end - at
            if end - at == span - here:
                self._end_span()
            at = end
        return mono

    def _end_span(self) -> None:
        # Of a span that began before the first sample too little is known.
        if self._next - self._span >= self._first:
            self._decide(_joined(self._looked_at))
        self._looked_at.clear()

    def _decide(self, values: Values) -> None:
        """Decide how to mix from now on."""
        some = floats(values)
        flat = some.ravel()
        power = float(flat @ flat) / max(1, flat.size)
        if power < SILENCE_PEAK**2:
            return
        middle = some @ self._mean
        if float(middle @ middle) >= OPPOSITE * power * len(middle):
            self._louder = None
            return
        powers = np.einsum("ij,ij->j", some, some)
        highest = float(powers.max())
        if self._louder is None or powers[self._louder] < _STAY * highest:
            self._louder = int(np.argmax(powers >= _AS_LOUD * highest))
        self.opposite_from.append(self._next)


def _joined(parts: list[Values]) -> Values:
    return parts[0] if len(parts) == 1 else cast(Values, np.concatenate(parts))
