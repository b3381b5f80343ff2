"""The settings that shape a tensor, and their fingerprint."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono audio, shape (n,), float32 in [-1, 1]."""
Tensor: TypeAlias = npt.NDArray[np.float32]
"""What a model takes for one window: fixed shape and dtype."""
Kind: TypeAlias = Literal["features", "log_mel"]
"""What is computed from a window: the 26 numbers, or the log-mel spectrogram (bands, frames)."""

# Raised whenever the arithmetic changes, so that artefacts made with the old arithmetic are refused.
ARITHMETIC = 1


@dataclass(frozen=True, kw_only=True)
class AudioConfig:
    """How sound becomes numbers. Everything not listed is librosa 0.11's default."""

    sample_rate: int = 22_050
    """Hertz. Other rates are resampled to it first."""
    window: int = 44_100
    """Samples of one window: 2 s."""
    n_fft: int = 2_048
    """Samples of one frame."""
    hop_length: int = 512
    """Samples between frames."""
    n_mels: int = 128
    """Mel bands, Slaney scale and norm, 0 to sample_rate / 2."""
    n_mfcc: int = 20
    """Cepstral coefficients kept, the zeroth included."""

    @property
    def frames(self) -> int:
        """Frames of one window, centred, zero-padded: 87 by default."""
        return 1 + self.window // self.hop_length

    def live_hop(self, seconds: float) -> int:
        """Return the live hop in samples: the multiple of hop_length nearest to `seconds`, at least one."""
        return max(1, round(seconds * self.sample_rate / self.hop_length)) * self.hop_length

    def shape(self, kind: Kind) -> tuple[int, ...]:
        """Return the shape of one window's tensor."""
        return (6 + self.n_mfcc,) if kind == "features" else (self.n_mels, self.frames)

    def fingerprint(self, kind: Kind) -> str:
        """Return the sha256 (hex) of everything that decides the numbers of a tensor."""
        settings = {"kind": kind, "arithmetic": ARITHMETIC, **asdict(self)}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


DEFAULT = AudioConfig()
