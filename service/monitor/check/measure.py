"""Measures sound of a source: levels, spectrum, what is there all the time. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from features.config import Samples
from features.containers.notes import Doubt
from features.mixdown import ChannelMixer, floats
from features.sound_checks import SoundChecker

FINE_HZ = 4_000
"""Hertz up to which the power of every segment is kept, one value for each hertz."""
CONSTANT = 20
"""Percentile over the segments: power that is there at nearly all times."""
BLOCKS_PER_S = 20
QUIETEST = 10
"""Percentile of the levels of the blocks: the noise floor."""
LOUDEST = 95
LOWEST_DB = -120.0
BANDS = 160
"""Of the picture, each as wide on a scale of logarithms."""
LOWEST_HZ = 20.0
Power: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was measured; powers are those of a sine of the amplitude 1 at -3 dB."""

    seconds: float
    sample_rate: int
    channels: int
    peak_db: float
    mean_db: float
    floor_db: float
    """Level of the quietest tenth of all blocks of 50 ms, without DC."""
    mean: Power
    """Mean power for each hertz from 0 to half the rate, shape (hertz + 1,)."""
    constant: Power
    """Power up to `FINE_HZ` that is there at nearly all times."""
    bands: npt.NDArray[np.float64]
    """For each band of the picture: middle in hertz, mean and constant power; shape (n, 3)."""
    doubts: Sequence[Doubt]
    """Those that any file has: clipping, silence, DC offset, opposite channels, a narrow band."""
    gaps: int = 0
    """How often the device lost sound."""


class Measurement:
    """Takes the sound of one source chunk by chunk; memory grows by 20 kB a second."""

    def __init__(self, *, sample_rate: int, channels: int) -> None:
        """sample_rate: hertz."""
        self._rate, self._channels = sample_rate, channels
        self._checker = SoundChecker()
        self._mixer = ChannelMixer(channels=channels, rate=sample_rate)
        self._taper = np.hanning(sample_rate)
        self._edges = _edges(sample_rate)
        self._rest: Samples = np.empty(0, np.float32)
        self._total = np.zeros(sample_rate // 2 + 1)
        self._fine: list[npt.NDArray[np.float32]] = []
        self._banded: list[Power] = []
        self._block_powers: list[Power] = []
        self._peak, self._count, self._gaps = 0.0, 0, 0

    @property
    def seconds(self) -> float:
        """Seconds taken so far."""
        return self._count / self._rate

    def feed(self, samples: Samples, *, lost: bool = False) -> None:
        """Take a chunk, float32 (n,) or (n, channels). lost: the device lost sound before it.

        Raises Unprocessable for NaN and for levels far beyond [-1, 1].
        """
        self._gaps += lost
        if not len(samples):
            return
        values = samples.reshape(len(samples), -1)
        self._checker.check_block(values)
        self._peak = max(self._peak, float(np.abs(floats(values)).max()))
        self._count += len(values)
        self._take(self._mixer.feed(values))

    def finish(self) -> Measured:
        """Return what was measured; the spectrum of less than a second is nothing."""
        self._take(self._mixer.finish())
        self._checker.check_mono(self._rest, rate=self._rate)
        self._checker.add_opposite(self._mixer.opposite / self._rate)
        count = max(1, len(self._fine))
        fine = np.array(self._fine or np.zeros((1, FINE_HZ + 1)), np.float64)
        banded = np.array(self._banded or [np.zeros(len(self._edges) - 1)])
        bands = np.stack(
            [
                np.sqrt(self._edges[:-1] * self._edges[1:]),
                banded.mean(axis=0),
                np.percentile(banded, CONSTANT, axis=0),
            ],
            axis=1,
        )
        powers = np.concatenate(self._block_powers or [np.zeros(1)])
        return Measured(
            seconds=self.seconds,
            sample_rate=self._rate,
            channels=self._channels,
            peak_db=decibels(self._peak**2),
            mean_db=decibels(float(powers.mean())),
            floor_db=decibels(float(np.percentile(powers, QUIETEST))),
            mean=self._total / count,
            constant=np.percentile(fine, CONSTANT, axis=0),
            bands=bands,
            doubts=self._checker.warnings(),
            gaps=self._gaps,
        )

    def _take(self, mono: Samples) -> None:
        """Take mixed samples: segments of a second, each half over the one before it."""
        if not len(mono):
            return
        sound, at, size = np.concatenate([self._rest, mono]), 0, self._rate
        while len(sound) - at >= size:
            self._segment(sound[at : at + size])
            self._checker.check_mono(sound[at : at + size // 2], rate=self._rate)
            at += size // 2
        self._rest = sound[at:]

    def _segment(self, samples: Samples) -> None:
        centred = samples - samples.mean(dtype=np.float64)
        # Such that the powers of white noise add up to its mean square.
        scale = 2 / (self._rate * float(self._taper @ self._taper))
        power = np.abs(np.fft.rfft(centred * self._taper)) ** 2 * scale
        self._total += power
        self._fine.append(power[: FINE_HZ + 1].astype(np.float32))
        self._banded.append(np.add.reduceat(power, self._edges[:-1]))
        length = self._rate // BLOCKS_PER_S
        blocks = centred[: len(centred) // length * length].reshape(-1, length)
        self._block_powers.append(np.mean(blocks**2, axis=1))


def decibels(power: float, *, lowest: float = LOWEST_DB) -> float:
    """Return a power relative to full scale in dB, at least `lowest`."""
    return max(lowest, 10 * float(np.log10(max(power, 1e-30))))


def _edges(rate: int) -> npt.NDArray[np.int64]:
    """Return the hertz between the bands of the picture, without repetition."""
    return np.unique(np.geomspace(LOWEST_HZ, rate // 2, BANDS + 1).round().astype(np.int64))
