"""FLAC: finds every frame, and states a length, a rate and a depth that libsndfile reads.

libsndfile believes the length in the header: it reads no further, and takes an unknown one for
2**63 samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from common.errors import InputError, UnsupportedMedia
from features.containers.notes import Notes, Segment, is_filling

MAGIC = b"fLaC"
_BARE = 42
"""Bytes of a header without pictures and tags."""
READ_BITS = (8, 16, 24)
"""Depths that libsndfile knows; frames that state another are read under the next one."""
WIDE = 32
_SIGN = re.compile(rb"\xff[\xf8\xf9][\x10-\xfe][\x00-\xae]")
_BLOCKS = {1: 192, **{code: 576 << code - 2 for code in range(2, 6)}} | {
    code: 256 << code - 8 for code in range(8, 16)
}
_RATES = (
    *(0, 88_200, 176_400, 192_000, 8_000, 16_000),
    *(22_050, 24_000, 32_000, 44_100, 48_000, 96_000),
)
_BITS = (0, 8, 12, 0, 16, 20, 24, 32)
_MAX_FRAME = 2**20
"""Bytes of a frame whose checksum is computed."""


class Frame(NamedTuple):
    """The header of a frame."""

    at: int
    first: int
    """Index of its first sample, or of the frame where all have one size."""
    samples: int
    kind: tuple[int, int, int]
    """Rate, channels, bits of a sample; 0: as the file's header says."""
    counts_frames: bool


def segments(data: bytes, notes: Notes) -> list[Segment]:
    """Return the parts of a file. Raises InputError where frames are missing."""
    start = _audio_start(data)
    info = data[8:42]
    total = _number(info, 108, 36)
    notes.frames(total, _number(info, 80, 20) or 1)
    frames = _walk(data, start, info, notes)
    if not frames:
        if total or data[start:]:
            raise InputError("this FLAC file is damaged or truncated: it holds no whole frame")
        return [Segment(data)]
    end = len(data)
    seen = sum(frame.samples for frame in frames)
    if total != seen:
        frames, end = _whole(data, frames, notes, known=total)
        seen = sum(frame.samples for frame in frames)
    if total > seen:
        notes.missing(f"truncated: the FLAC file promises {total} samples, {seen} are there")
    return [_segment(data, info, run, end) for run in _runs(frames, end)]


def _audio_start(data: bytes) -> int:
    at, last = 4, False
    while not last:
        if at + 4 > len(data):
            raise InputError("truncated: the FLAC file ends within its header")
        last = bool(data[at] & 0x80)
        at += 4 + int.from_bytes(data[at + 1 : at + 4], "big")
    if data[4] & 0x7F or len(data) < 42 or at > len(data):
        raise InputError("truncated: the FLAC file ends within its header")
    return at


def _number(info: bytes, bit: int, width: int) -> int:
    """Return some bits of STREAMINFO."""
    return int.from_bytes(info, "big") >> 272 - bit - width & (1 << width) - 1


def _walk(data: bytes, start: int, info: bytes, notes: Notes) -> list[Frame]:
    """Return the frames that follow each other; what only looks like one is left out."""
    found: list[Frame] = []
    pending: Frame | None = None
    total = 0
    for frame in _headers(data, start, info, notes):
        if not found or _follows(found[-1], frame):
            found.append(frame)
            pending = None
        elif pending and _follows(pending, frame):
            _gap(found[-1], pending, notes)
            found += [pending, frame]
            pending = None
        elif frame.first > found[-1].first:
            pending = frame
            continue
        else:
            continue
        total += frame.samples
        notes.frames(total, frame.kind[0] or _number(info, 80, 20) or 1)
    return found


def _gap(before: Frame, after: Frame, notes: Notes) -> None:
    notes.missing(
        f"this FLAC file is damaged: frames are missing between byte {before.at} and {after.at}"
    )


def _follows(before: Frame, frame: Frame) -> bool:
    step = 1 if before.counts_frames else before.samples
    same = frame.counts_frames == before.counts_frames
    return (same and frame.first == before.first + step) or (
        # A stream that begins anew inside of the file.
        frame.first == 0 and before.kind != frame.kind
    )


def _headers(data: bytes, start: int, info: bytes, notes: Notes) -> Iterator[Frame]:
    for count, match in enumerate(_SIGN.finditer(data, start)):
        notes.step(count)
        if frame := parse(data, match.start(), info):
            yield frame


def parse(data: bytes, at: int, info: bytes) -> Frame | None:
    """Return the header of a frame at a place, None if its checksum does not hold."""
    block, rate = data[at + 2] >> 4, data[at + 2] & 15
    channels, bits = data[at + 3] >> 4, data[at + 3] >> 1 & 7
    first, place = _coded(data, at + 4)
    if first < 0 or place + 5 > len(data) or rate == 15:
        return None
    samples = _BLOCKS.get(block, 0)
    if block in (6, 7):
        width = block - 5
        samples = int.from_bytes(data[place : place + width], "big") + 1
        place += width
    hertz = _RATES[rate] if rate < len(_RATES) else 0
    if rate >= 12:
        width = 1 if rate == 12 else 2
        hertz = int.from_bytes(data[place : place + width], "big") * (1_000, 1, 10)[rate - 12]
        place += width
    if data[place] != _crc8(data[at:place]):
        return None
    kind = (
        hertz or _number(info, 80, 20),
        channels + 1 if channels < 8 else 2,
        _BITS[bits] or _number(info, 103, 5) + 1,
    )
    return Frame(at, first, samples, kind, data[at + 1] == 0xF8)


def _coded(data: bytes, at: int) -> tuple[int, int]:
    """Return a number as in UTF-8, up to seven bytes, and where it ends; -1 if it is none."""
    lead = data[at] if at < len(data) else 0xFF
    if lead < 0x80:
        return lead, at + 1
    length = 8 - (lead ^ 0xFF).bit_length()
    if not 2 <= length <= 7 or at + length > len(data):
        return -1, at
    value = lead & (0x7F >> length)
    for byte in data[at + 1 : at + length]:
        if byte >> 6 != 2:
            return -1, at
        value = value << 6 | byte & 0x3F
    return value, at + length


def _table(polynomial: int, bits: int) -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> bits - 1 else 0)
            value &= (1 << bits) - 1
        table.append(value)
    return tuple(table)


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def _whole(
    data: bytes, frames: list[Frame], notes: Notes, *, known: int
) -> tuple[list[Frame], int]:
    """Return the frames without a last one that is cut, and where they end."""
    begin = frames[-1].at
    value = 0
    for at in range(begin, min(len(data), begin + _MAX_FRAME)):
        value = (value << 8 ^ _CRC16[value >> 8 ^ data[at]]) & 0xFFFF
        if value == 0 and is_filling(data[at + 1 :]):
            return frames, at + 1
    if not known:
        notes.warn("truncated", "the last FLAC frame is cut: it is not read")
    return frames[:-1], begin


def _runs(frames: list[Frame], end: int) -> list[list[Frame]]:
    runs: list[list[Frame]] = []
    for frame in frames:
        if not runs or runs[-1][-1].kind != frame.kind:
            runs.append([])
        runs[-1].append(frame)
    # Where a run ends is where the next one begins: a frame of no samples marks it.
    for run, after in zip(runs, [*runs[1:], None], strict=True):
        run.append(run[-1]._replace(at=after[0].at if after else end, samples=0))
    return runs


def _segment(data: bytes, info: bytes, run: list[Frame], end: int) -> Segment:
    rate, channels, bits = run[0].kind
    frames = sum(frame.samples for frame in run)
    own = _number(info, 103, 5) + 1
    depth = bits
    if bits not in READ_BITS:
        # A depth that frames state themselves holds under any header.
        by_frames = bits in _BITS and data[run[0].at + 3] >> 1 & 7
        depth = next((each for each in READ_BITS if each > bits), READ_BITS[-1])
        if not by_frames:
            raise UnsupportedMedia(f"FLAC of {bits} bits a sample")
    stated = (_number(info, 80, 20), _number(info, 100, 3) + 1, own, _number(info, 108, 36))
    # libFLAC rejects pictures and tags that are damaged: it gets none.
    if stated == (rate, channels, depth, frames) and end == len(data) and run[0].at == _BARE:
        return Segment(data, frames)
    word = rate << 44 | (channels - 1) << 41 | (depth - 1) << 36 | frames
    head = info[:10] + word.to_bytes(8, "big") + bytes(16)
    body = data[run[0].at : run[-1].at]
    return Segment(MAGIC + b"\x80\0\0\x22" + head + body, frames, wide=bits == WIDE)
