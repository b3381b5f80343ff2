"""The settings that shape a tensor, and their fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from common.errors import Unprocessable
from common.strict_json import to_json

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono audio, shape (n,), float32 in [-1, 1]."""
Tensor: TypeAlias = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
"""What a model takes for one window or picture: fixed shape and dtype."""
Kind: TypeAlias = Literal["features", "log_mel", "samples"]
"""What is computed from a window of sound; `samples`: nothing, the window itself."""
"""What is computed from a window: the 26 numbers, or the log-mel spectrogram (bands, frames)."""
Pixels: TypeAlias = npt.NDArray[np.uint8]
"""A picture, shape (height, width, 3): red, green, blue."""
Fit: TypeAlias = Literal["squash", "crop", "pad"]
"""How a picture gets the shape a model takes: stretched; its middle cut out; or whole, on white."""
Resample: TypeAlias = Literal["box", "bilinear", "bicubic", "lanczos"]
"""Filter of the resizing, antialiased when it shrinks; as Pillow names and computes them."""

# Incremented when the arithmetic changes, so that artefacts of the old one are rejected.
ARITHMETIC = 1
PICTURE_ARITHMETIC = 1
MAX_SIDE = 4_096
"""Pixels, of what a model takes."""
RESERVED = (
    "file",
    "hop",
    "top_k",
    "version",
    "events",
    "event_settings",
    "format",
    "partial",
    "url",
)
"""Names that metadata cannot have: a request has fields of these names."""


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
        """Return the live hop in samples: the multiple of hop_length nearest to `seconds`."""
        return max(1, round(seconds * self.sample_rate / self.hop_length)) * self.hop_length

    def check_hop(self, seconds: float, *, shortest: float) -> None:
        """Raise Unprocessable unless a hop lies between `shortest` seconds and one window."""
        longest = self.window / self.sample_rate
        # Written so that NaN fails it too.
        if not shortest <= seconds <= longest:
            raise Unprocessable(f"hop={seconds} must be between {shortest} and {longest} s")

    def shape(self, kind: Kind) -> tuple[int, ...]:
        """Return the shape of one window's tensor."""
        if kind == "samples":
            return (self.window,)
        return (6 + self.n_mfcc,) if kind == "features" else (self.n_mels, self.frames)

    def fingerprint(self, kind: Kind) -> str:
        """Return the sha256 (hex) of everything that decides the numbers of a tensor."""
        if kind == "samples":
            return _sha256({"kind": kind, "sample_rate": self.sample_rate, "window": self.window})
        return _sha256({"kind": kind, "arithmetic": ARITHMETIC, **asdict(self)})


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """A value given with a picture, such as its region."""

    name: str
    """Name of the form field or query parameter."""
    values: tuple[str, ...]
    """The possible values, in the order of the model's input."""
    required: bool = True
    """If not, it may be missing: then all its inputs are 0."""


@dataclass(frozen=True, kw_only=True)
class PictureConfig:
    """How a picture becomes uint8 RGB. Scaling and normalising belong to the model's graph."""

    height: int = 224
    """Pixels."""
    width: int = 224
    """Pixels."""
    fit: Fit = "crop"
    """How another aspect ratio is handled."""
    resample: Resample = "bilinear"
    """Filter of the resizing."""
    metadata: tuple[Metadata, ...] = ()
    """The metadata of a picture, in the order of the model's input."""

    def __post_init__(self) -> None:
        """Raises Unprocessable for sizes, names or values that are not possible."""
        names = [field.name for field in self.metadata]
        lists = [names, *(field.values for field in self.metadata)]
        rules = {
            f"{self.height} x {self.width}: sides must be between 1 and {MAX_SIDE} pixels": (
                1 <= min(self.height, self.width) <= max(self.height, self.width) <= MAX_SIDE
            ),
            f"fit={self.fit!r} must be one of {', '.join(get_args(Fit))}": self.fit
            in get_args(Fit),
            f"resample={self.resample!r} must be one of {', '.join(get_args(Resample))}": (
                self.resample in get_args(Resample)
            ),
            f"metadata cannot be called {', '.join(RESERVED)}": not set(names) & set(RESERVED),
            "metadata and its values must be named, each once": all(
                all(each) and len(set(each)) == len(each) for each in lists
            ),
            "metadata must have values": all(field.values for field in self.metadata),
        }
        broken = [rule for rule, holds in rules.items() if not holds]
        if broken:
            raise Unprocessable("; ".join(broken))

    @property
    def extra(self) -> int:
        """Numbers that follow the pixels: one for each value of the metadata."""
        return sum(len(field.values) for field in self.metadata)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one tensor: (height, width, 3), or flat when metadata follows the pixels."""
        return (
            (3 * self.height * self.width + self.extra,)
            if self.metadata
            else (self.height, self.width, 3)
        )

    def fingerprint(self) -> str:
        """Return the sha256 (hex) of everything that decides the numbers of a tensor."""
        return _sha256({"kind": "picture", "arithmetic": PICTURE_ARITHMETIC, **asdict(self)})


def _sha256(settings: dict[str, Any]) -> str:
    return hashlib.sha256(to_json(settings, sort_keys=True).encode()).hexdigest()


DEFAULT = AudioConfig()
