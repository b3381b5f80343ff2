"""BMP files with colours in bit fields of any place and width, in a layout that Pillow reads."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from common.errors import InputError

_BITFIELDS = (3, 6)
_READ = {
    (16, 0xF800, 0x7E0, 0x1F, 0),
    (16, 0x7C00, 0x3E0, 0x1F, 0),
    (32, 0xFF0000, 0xFF00, 0xFF, 0),
    (32, 0xFF0000, 0xFF00, 0xFF, 0xFF000000),
}
"""Bits and masks of red, green, blue and alpha of what Pillow reads."""
_ROWS = 256
"""At a time: what is computed on the way takes little memory."""


def usual(data: bytes) -> bytes:
    """Return a BMP file with its colours in eight bits each, or the same file if Pillow reads it.

    Raises InputError when it ends early.
    """
    header, width, height, _, bits, compression = struct.unpack_from("<IiiHHI", data, 14)
    if header < 40 or compression not in _BITFIELDS or bits not in (16, 32):
        return data
    masks = struct.unpack_from("<4I", data, 54)
    if header < 56 and compression == _BITFIELDS[0]:
        masks = (*masks[:3], 0)
    if (bits, *masks) in _READ or width <= 0 or not height:
        return data
    at = struct.unpack_from("<I", data, 10)[0]
    stride = (width * bits + 31) // 32 * 4
    if at + stride * abs(height) > len(data):
        raise InputError("truncated: the BMP file ends before its last row")
    stored = np.frombuffer(data, np.uint8, stride * abs(height), at).reshape(abs(height), stride)
    pixels = np.empty((abs(height), width, 4), np.uint8)
    for row in range(0, abs(height), _ROWS):
        packed = stored[row : row + _ROWS, : width * bits // 8].view(f"<u{bits // 8}")
        for channel, mask in enumerate((masks[2], masks[1], masks[0], masks[3])):
            pixels[row : row + _ROWS, :, channel] = _eight_bits(packed, mask)
    offset = 14 + 56
    info = struct.pack(
        "<IiiHHIIiiII4I", 56, width, height, 1, 32, 3, pixels.nbytes, 0, 0, 0, 0,
        0xFF0000, 0xFF00, 0xFF, 0xFF000000 if masks[3] else 0,
    )  # fmt: skip
    head = b"BM" + struct.pack("<IHHI", offset + pixels.nbytes, 0, 0, offset)
    return b"".join((head, info, pixels.data))


def _eight_bits(packed: npt.NDArray[np.unsignedinteger], mask: int) -> npt.NDArray[np.uint8]:
    """Return a field of each pixel, its largest value as 255; a field without bits is 0."""
    if not mask:
        return np.zeros(packed.shape, np.uint8)
    shift = (mask & -mask).bit_length() - 1
    largest = mask >> shift
    values = (packed.astype(np.uint32) & mask) >> shift
    # As float64: 32 bits times 255 are more than an integer of 32 bits holds.
    return (values * (255 / largest) + 0.5).astype(np.uint8)
