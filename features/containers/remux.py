"""Packets of Opus and Vorbis, out of another container, as Ogg."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from common.errors import InputError
from features.containers import ogg
from features.containers.notes import Notes, Segment

OPUS_RATE = 48_000
_OPUS_FRAMES = (480, 960, 1_920, 2_880)
_OPUS_SLACK, _VORBIS_SLACK = 10_000, 10_000
"""Frames by which a decoder may give less."""
_PAGE_PACKETS = 50
_MAX_LACES = 255
_CONTINUED = 1
_NONE = 0xFFFFFFFFFFFFFFFF
_NO_COMMENTS = b"\x03vorbis" + bytes(8) + b"\x01"
_MODE_BITS = 41

Packet = tuple[bytes, int]
"""Its bytes, and the samples up to its end."""


def pages(headers: list[bytes], packets: Iterable[Packet]) -> bytes:
    """Return packets as one Ogg stream; each header has pages of its own."""
    made: list[bytes] = []
    last: Packet | None = None
    group: list[Packet] = []
    for header in headers:
        _write(made, [(header, 0)], is_last=False)
    for packet in packets:
        if last:
            group.append(last)
            if len(group) == _PAGE_PACKETS:
                _write(made, group, is_last=False)
                group = []
        last = packet
    _write(made, [*group, *([last] if last else [])], is_last=True)
    return b"".join(made)


def _write(made: list[bytes], packets: list[Packet], *, is_last: bool) -> None:
    """Add the pages of some packets: a page has at most 255 laces, of 255 bytes each."""
    laces = [
        (lace, end if lace < 255 else None)
        for packet, end in packets
        for lace in (*([255] * (len(packet) // 255)), len(packet) % 255)
    ]
    body = b"".join(packet for packet, _ in packets)
    at, is_begun = 0, False
    for begin in range(0, max(1, len(laces)), _MAX_LACES):
        some = laces[begin : begin + _MAX_LACES]
        size = sum(lace for lace, _ in some)
        granule = next((end for _, end in reversed(some) if end is not None), _NONE)
        is_end = is_last and begin + _MAX_LACES >= len(laces)
        flags = _CONTINUED * is_begun | ogg.FIRST * (not made) | ogg.LAST * is_end
        head = struct.pack("<BQIIIB", flags, max(0, granule), 1, len(made), 0, len(some))
        table = bytes(lace for lace, _ in some)
        made.append(ogg.with_crc(b"OggS\0" + head + table + body[at : at + size]))
        at, is_begun = at + size, bool(some) and some[-1][1] is None


def opus(head: bytes, packets: list[bytes], padding: int, notes: Notes) -> Segment:
    """Return packets of Opus. padding: nanoseconds at the end that are no sound."""
    if not head.startswith(b"OpusHead") or len(head) < 19:
        raise InputError("this WebM file is damaged: its Opus header is not whole")
    tags = b"OpusTags" + bytes(8)
    counted = _counted(packets, map(opus_samples, packets), padding, OPUS_RATE, notes)
    least = max(0, counted[-1][1] - _OPUS_SLACK)
    return Segment(pages([head, tags], counted), least, count_rate=OPUS_RATE)


def vorbis(private: bytes, packets: list[bytes], padding: int, notes: Notes) -> Segment:
    """Return packets of Vorbis. private: its three headers, laced. padding: as of `opus`."""
    first, setup = _vorbis_headers(private)
    rate = struct.unpack_from("<I", first, 12)[0]
    sizes = 1 << (first[28] & 15), 1 << (first[28] >> 4)
    blocks = [sizes[flag] for flag in _block_flags(packets, _modes(setup))]
    # Half of a block overlaps with the one before it.
    steps = chain([0], (before + after >> 2 for before, after in pairwise(blocks)))
    counted = _counted(packets, steps, padding, rate, notes)
    least = max(0, counted[-1][1] - _VORBIS_SLACK)
    return Segment(pages([first, _NO_COMMENTS, setup], counted), least, count_rate=rate)


def _counted(
    packets: list[bytes], samples: Iterable[int], padding: int, rate: int, notes: Notes
) -> list[Packet]:
    total, counted = 0, list[Packet]()
    for packet, count in zip(packets, samples, strict=True):
        total += count
        notes.frames(total, max(1, rate))
        counted.append((packet, total))
    unheard = round(max(0, padding) * rate * 1e-9)
    counted[-1] = counted[-1][0], max(0, total - unheard)
    return counted


def opus_samples(packet: bytes) -> int:
    """Return the samples of a packet at 48 kHz (RFC 6716, 3.1)."""
    if not packet:
        return 0
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        frame = _OPUS_FRAMES[config & 3]
    elif config < 16:
        frame = 480 << (config & 1)
    else:
        frame = 120 << (config & 3)
    if code == 3:
        return frame * (packet[1] & 63) if len(packet) > 1 else 0
    return frame * (1 if code == 0 else 2)


def _vorbis_headers(private: bytes) -> tuple[bytes, bytes]:
    """Return the first and the third header. Raises InputError if they are not whole."""
    sizes, at = list[int](), 1
    while len(sizes) < 2 and at < len(private):
        size = 0
        while at < len(private) and private[at] == 255:
            size, at = size + 255, at + 1
        sizes.append(size + private[at] if at < len(private) else size)
        at += 1
    first = private[at : at + sizes[0]] if sizes else b""
    setup = private[at + sum(sizes) :]
    if private[:1] != b"\x02" or len(first) < 30 or not setup.startswith(b"\x05vorbis"):
        raise InputError("this WebM file is damaged: its Vorbis headers are not whole")
    return first, setup


def _modes(setup: bytes) -> list[int]:
    """Return for each mode whether its blocks are long; they are at the end of the third header.

    What stands before them has no length: they are read backwards, as far as they look like modes
    and the number before them is theirs.
    """
    value = int.from_bytes(setup, "little")
    at = value.bit_length() - 1
    flags, known = list[int](), 0
    while at - _MODE_BITS >= 6 and len(flags) < 64:
        entry = value >> at - _MODE_BITS & (1 << _MODE_BITS) - 1
        if entry >> 33 > 63 or entry >> 1 & 0xFFFFFFFF:
            break
        flags.append(entry & 1)
        at -= _MODE_BITS
        if (value >> at - 6 & 63) + 1 == len(flags):
            known = len(flags)
    if not known:
        raise InputError("this WebM file is damaged: its Vorbis headers are not whole")
    return flags[:known][::-1]


def _block_flags(packets: list[bytes], modes: list[int]) -> Iterator[int]:
    mask = (1 << (len(modes) - 1).bit_length()) - 1
    for packet in packets:
        mode = packet[0] >> 1 & mask if packet else 0
        yield modes[mode] if mode < len(modes) else 0
