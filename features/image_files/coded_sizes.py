"""The sizes that AV1 and HEVC data may decode to, read from their sequence headers. Pure.

A container may state another size than the data that it holds: a decoder goes by the data.
"""

from __future__ import annotations

from common.errors import InputError, Unprocessable

MAX_FRAMES = 8
"""Of one still picture: layers, at most four of them, and pictures they refer to."""
_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6
_SPS = 33
_PROFILE_BITS = 88


class _Bits:
    """Reads numbers from bytes, the highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> int:
        """Return the next bits as a number. Raises InputError behind the end."""
        if self._at + count > 8 * len(self._data):
            raise InputError("truncated: a sequence header ends early")
        first, self._at = self._at, self._at + count
        held = int.from_bytes(self._data[first // 8 : (self._at + 7) // 8], "big")
        return (held >> (-self._at % 8)) & ((1 << count) - 1)

    def exponential(self) -> int:
        """Return an Exp-Golomb number, as `ue(v)` of HEVC and `uvlc()` of AV1."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise InputError("damaged: a number of a sequence header is too long")
        return (1 << zeros) - 1 + self.take(zeros)


def av1_pixels(data: bytes) -> int:
    """Return the most pixels that a frame of these OBUs may have (AV1 specification, 5.3 to 5.5).

    Raises Unprocessable beyond `MAX_FRAMES`, InputError where the data ends early.
    """
    at, frames, most = 0, 0, 0
    while at < len(data):
        head = data[at]
        at += 2 if head & 4 else 1
        size = len(data) - at
        if head & 2:
            size, at = _leb128(data, at)
        kind, at = head >> 3 & 15, at + size
        if kind == _SEQUENCE:
            most = max(most, _av1_sequence(_Bits(data[at - size : at])))
        frames += kind in (_FRAME_HEADER, _FRAME)
        if frames > MAX_FRAMES:
            raise Unprocessable(f"a picture of more than {MAX_FRAMES} AV1 frames")
    return most


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of up to eight bytes, and where it ends."""
    value = 0
    for count, byte in enumerate(data[at : at + 8]):
        value |= (byte & 127) << (7 * count)
        if byte < 128:
            return value, at + count + 1
    raise InputError("damaged: a length in AV1 data does not end")


def _av1_sequence(bits: _Bits) -> int:
    bits.take(4)  # the profile, and whether it is a still picture
    reduced = bits.take(1)
    if reduced:
        bits.take(5)
    else:
        _pass_operating_points(bits)
    lengths = [bits.take(4) + 1 for _ in range(2)]
    width, height = (bits.take(length) + 1 for length in lengths)
    # Without the reduced header, a frame may override the size by any number of these bits.
    return width * height if reduced else 1 << sum(lengths)


def _pass_operating_points(bits: _Bits) -> None:
    delay = 0
    if bits.take(1):  # timing
        bits.take(64)
        if bits.take(1):
            bits.exponential()
        if bits.take(1):  # a decoder model
            delay = bits.take(5) + 1
            bits.take(42)
    display = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay and bits.take(1):
            bits.take(2 * delay + 1)
        if display and bits.take(1):
            bits.take(4)


def hevc_pixels(data: bytes, *, length_size: int) -> int:
    """Return the most pixels of NAL units, each behind its length (H.265, 7.3.2.2)."""
    at, most = 0, 0
    while at + length_size + 2 <= len(data):
        size = int.from_bytes(data[at : at + length_size], "big")
        at += length_size
        if data[at] >> 1 & 63 == _SPS:
            most = max(most, sps_pixels(data[at : at + size]))
        at += size
    return most


def sps_pixels(unit: bytes) -> int:
    """Return the pixels of a picture by a sequence parameter set of HEVC."""
    bits = _Bits(unit[2:].replace(b"\0\0\3", b"\0\0"))
    bits.take(4)
    layers = bits.take(3)
    bits.take(1 + _PROFILE_BITS + 8)
    there = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    bits.take(2 * (8 - layers) if layers else 0)
    for profile, level in there:
        bits.take(_PROFILE_BITS * profile + 8 * level)
    bits.exponential()
    if bits.exponential() == 3:
        bits.take(1)
    return bits.exponential() * bits.exponential()
