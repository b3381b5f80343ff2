"""Whether a JPEG file holds the data of its whole picture, which its decoder does not tell.

libjpeg fills what has no data with the middle grey, and only warns. Pure.
"""

from __future__ import annotations

import functools
import random
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

NOISE = 2**18
"""Bytes that are put behind the data of a picture whose end is grey."""
_EVERY = 512
"""Bytes between two restart markers in them."""
_GREY = {127, 128}
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""The end of a scan: neither a stuffed zero, nor a restart marker or fill byte."""
_SCAN_HEADER = re.compile(rb"\xff\xda\x00[\x08\x0a\x0c\x0e]([\x01-\x04])(?=(.{5,11}))", re.DOTALL)
_BITS = {0xC0: 2, 0xC1: 2, 0xC2: 1}
"""The fewest bits of a block, by the marker of the frame."""
_SOS, _SOI, _EOI = 0xDA, 0xD8, 0xD9


@dataclass(frozen=True)
class Frame:
    """What the frame header says."""

    marker: int
    height: int
    width: int
    components: tuple[tuple[int, int, int], ...]
    """Identifier, horizontal and vertical sampling of each."""

    @classmethod
    def read(cls, data: bytes, at: int) -> Frame:
        """Return the frame of the segment at an offset. Raises IndexError or struct.error."""
        height, width, count = struct.unpack_from(">HHB", data, at + 5)
        rows = (data[at + 10 + 3 * i : at + 13 + 3 * i] for i in range(count))
        return cls(data[at + 1], height, width, tuple((r[0], r[1] >> 4, r[1] & 15) for r in rows))

    def one_pass(self, coded: int) -> bool:
        """Return whether a scan of so many components is the only one, of a sequential file."""
        return self.marker in (0xC0, 0xC1) and coded == len(self.components)

    @property
    def blocks(self) -> int:
        """Blocks of 8 x 8 that hold the picture, over all components."""
        across = max((h for _, h, _ in self.components), default=1) or 1
        down = max((v for _, _, v in self.components), default=1) or 1
        return sum(
            -(-self.width * h // (8 * across)) * -(-self.height * v // (8 * down))
            for _, h, v in self.components
        )


def missing(frame: Frame, scans: bytes) -> str:
    """Return why the scans cannot hold the whole picture, or "".

    scans: from the header of the first on. A block takes a code of a bit or more for its mean, and
    in a sequential file another one for the rest (ITU T.81, F.2 and G.1); arithmetic codes may take
    less.
    """
    needed = frame.blocks * _BITS.get(frame.marker, 0) // 8
    if len(scans) < needed:
        return (
            f"truncated: {frame.width} x {frame.height} pixels take {needed} bytes or more in a "
            f"JPEG file, {len(scans)} are there"
        )
    coded = {name for names, _ in _scan_headers(scans) for name in names}
    absent = {name for name, _, _ in frame.components} - coded
    if coded and absent:
        return (
            f"truncated: the JPEG file has no data of {len(absent)} of its "
            f"{len(frame.components)} components"
        )
    return ""


def is_coarse(frame: Frame, scans: bytes) -> bool | None:
    """Return whether the scans of a progressive file stop before the last bit of each coefficient.

    A file may be made so; one that was cut is so, too. None for a file that is not progressive.
    """
    if frame.marker != 0xC2:
        return None
    known = dict.fromkeys((name for name, _, _ in frame.components), 0)
    for names, (first, last, bits) in _scan_headers(scans):
        for name in names:
            if name in known and not bits & 15:
                known[name] |= (2 << last) - (1 << first)
    return min(known.values(), default=0) != 2**64 - 1


def _scan_headers(scans: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the components of each scan; first and last coefficient, and the bits of both."""
    for found in _SCAN_HEADER.finditer(scans):
        count = found[1][0]
        if len(found[2]) >= 2 * count + 3:
            yield found[2][: 2 * count : 2], found[2][2 * count : 2 * count + 3]


def is_grey(pixel: object) -> bool:
    """Return whether a pixel of a decoded picture is what stands for missing data."""
    values = pixel if isinstance(pixel, tuple) else (pixel,)
    return _GREY.issuperset(values)


def with_noise(data: bytes, scans: int) -> bytes:
    """Return a file with noise behind the data of its last scan.

    A decoder that had all the data passes over it; where data was missing, it is what is decoded.
    scans: offset of the header of the first scan.
    """
    begin, end = _last_scan(data, scans)
    restarts = len(_RESTART.findall(data, begin, end))
    if not restarts and b"\xff\xdd\x00\x04" not in data[:scans]:
        return data[:end] + _noise() + data[end:]
    noise, parts = _noise(), []
    for count, at in enumerate(range(0, NOISE, _EVERY), restarts):
        parts += [noise[at : at + _EVERY], bytes((0xFF, 0xD0 + count % 8))]
    return b"".join((data[:end], *parts, data[end:]))


def _last_scan(data: bytes, at: int) -> tuple[int, int]:
    """Return where the coded data of the last scan begins and ends. at: the first scan's header."""
    begin = end = at
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] not in (_SOI, _EOI):
        after = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if data[at + 1] == _SOS:
            found = _MARKER.search(data, after)
            begin, end = after, found.start() if found else len(data)
            after = end
        at = after
    return begin, end


@functools.cache
def _noise() -> bytes:
    return random.Random(1).randbytes(NOISE).replace(b"\xff", b"\x7f")  # noqa: S311 no secret
