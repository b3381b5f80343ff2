"""What the readers of containers share: segments, warnings, bounds on the work."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from common.errors import InputError, TooLarge, Unprocessable

DoubtKind: TypeAlias = Literal[
    "truncated",
    "damaged",
    "trailing",
    "tracks",
    "opposite_channels",
    "silence",
    "clipping",
    "dc_offset",
    "narrow_band",
]
MAX_PARTS = 2**18
"""Chunks or pages of one file; Opus makes at most 400 pages a second."""
_STEPS = 4_096
"""Parts between two calls of `check`."""


@dataclass(frozen=True)
class Doubt:
    """A doubt about a sound that is answered all the same."""

    kind: DoubtKind
    detail: str
    """One sentence for a person."""


@dataclass(frozen=True)
class Segment:
    """Bytes that libsndfile reads as one sound of one rate and number of channels."""

    data: bytes
    at_least: int = 0
    """Frames that must come out of it, by the container's own count."""
    at_most: int | None = None
    """Frames after which only filling follows."""
    tagless: bool = False
    """MPEG audio without a number of frames: libsndfile estimates one from the file's size."""
    codec: str = ""
    """Its name, for the error about one that is not read."""
    count_rate: int = 0
    """Hertz in which `at_least` counts; 0: the rate of the file."""
    wide: bool = False
    """Samples of 32 bits, which libsndfile turns into floats of the other sign."""


@dataclass
class Notes:
    """What was found while a file is read, and what may be accepted."""

    partial: bool = False
    """Whether a file with missing sound is read as far as it goes."""
    max_seconds: float = math.inf
    check: Callable[[], None] = lambda: None
    warnings: list[Doubt] = field(default_factory=list)
    _parts: int = 0

    def warn(self, kind: DoubtKind, detail: str) -> None:
        """Add a warning."""
        self.warnings.append(Doubt(kind, detail))

    def missing(self, detail: str) -> None:
        """Sound is missing or damaged: raise InputError, or warn if that is accepted."""
        if not self.partial:
            raise InputError(detail)
        self.warn("truncated", f"{detail}; the rest is read")

    def part(self) -> None:
        """Count a chunk or page. Raises Unprocessable past the bound."""
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise Unprocessable(f"a sound file of more than {MAX_PARTS} chunks or pages")
        self.step(self._parts)

    def step(self, count: int) -> None:
        """Call `check` now and then."""
        if count % _STEPS == 0:
            self.check()

    def frames(self, count: int, rate: int) -> None:
        """Raise TooLarge once the frames counted are longer than is allowed."""
        if count > self.max_seconds * rate:
            raise TooLarge(f"{count / rate:.1f} s of sound: at most {self.max_seconds:g} s")


def is_filling(data: bytes) -> bool:
    """Return whether bytes after a sound are none: zeros, or a tag."""
    return not data.strip(b"\0") or data.startswith(
        (b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"LIST", b"3DI")
    )


def id3_size(data: bytes, at: int = 0) -> int:
    """Return the bytes of an ID3v2 tag at this place; 0 without one."""
    if data[at : at + 3] != b"ID3" or len(data) < at + 10:
        return 0
    size = 0
    for byte in data[at + 6 : at + 10]:
        size = size << 7 | (byte & 0x7F)
    return 10 + size + (10 if data[at + 5] & 0x10 else 0)
