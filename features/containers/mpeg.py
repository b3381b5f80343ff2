"""MPEG audio (MP1, MP2, MP3): finds and counts every frame, and leaves out what is none.

Without the number of frames that a Xing tag has, libsndfile estimates it from the first frames, and
reads no further.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from common.errors import InputError
from features.containers.notes import Notes, Segment, id3_size, is_filling

CHAIN = 3
"""Frames in a row that make bytes MPEG audio."""
LEAD = 2**20
"""Bytes before the first frame that are searched."""
_SYNC = re.compile(rb"\xff[\xe2-\xff]")
_NOT_ZERO = re.compile(rb"[^\0]")
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_SAME = 0xFFFE0C00
"""Bits of a header that stay: version, layer, rate."""
_KBITS = {
    (3, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (3, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (3, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SLACK = 4
"""Frames by which a decoder may give less: encoder delay and padding, which tags state."""


class Frame(NamedTuple):
    """What the header of a frame says."""

    size: int
    """Bytes; 0 is free format, where only the next frame tells."""
    samples: int
    rate: int
    channels: int
    layer: int
    side: int
    """Bytes from the frame's begin to where a Xing tag is."""
    key: int
    """Equal for frames of one sound."""


Span: TypeAlias = tuple[int, int]


@dataclass
class Run:
    """Frames of one rate and number of channels, in order."""

    frame: Frame
    tag: bytes = b""
    """A frame that holds a Xing or Info tag and no sound."""
    follows: int = 0
    """Bytes of the file from its tag on."""
    spans: list[Span] = field(default_factory=list)
    count: int = 0

    def add(self, at: int, end: int) -> None:
        """Add a frame; neighbours are one span."""
        if self.spans and self.spans[-1][1] == at:
            self.spans[-1] = (self.spans[-1][0], end)
        else:
            self.spans.append((at, end))
        self.count += 1


@lru_cache(maxsize=4_096)
def parse(header: int) -> Frame | None:
    """Return what the four bytes of a frame's header say, None if they are none."""
    version, layer = header >> 19 & 3, 4 - (header >> 17 & 3)
    bits, rate, padding = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1
    if header >> 21 != 0x7FF or version == 1 or layer == 4 or bits == 15 or rate == 3:
        return None
    if header & 3 == 2:  # reserved emphasis
        return None
    hertz = _RATES[version][rate]
    kbits = _KBITS[3 if version == 3 else 2, layer if version == 3 else min(layer, 2)][bits]
    mono = header >> 6 & 3 == 3
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1_152
    if layer == 1:
        size = 4 * (12_000 * kbits // hertz + padding)
    else:
        size = samples // 8 * 1_000 * kbits // hertz + padding
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    key = header & _SAME | (1 if mono else 2)
    return Frame(size if kbits else 0, samples, hertz, 1 if mono else 2, layer, 4 + side, key)


def find(data: bytes, at: int = 0, *, end: int | None = None, notes: Notes | None = None) -> int:
    """Return where MPEG frames begin, at or after a place; -1 if they do not."""
    signs = _SYNC.finditer(data, at, len(data) if end is None else end)
    for count, match in enumerate(signs):
        if notes:
            notes.step(count)
        if _is_begin(data, match.start()):
            return match.start()
    return -1


def segments(data: bytes, notes: Notes) -> list[Segment]:
    """Return the parts of a file. Raises InputError where frames are missing."""
    runs = _walk(data, notes)
    if not runs:
        raise InputError("this MP3 file is damaged or truncated: it holds no whole frame")
    return [_segment(data, run, notes) for run in runs]


def frame_at(data: bytes, at: int) -> Frame | None:
    """Return the frame at a place, with its size also if that is not in the header."""
    if at + 4 > len(data):
        return None
    header = int.from_bytes(data[at : at + 4], "big")
    frame = parse(header)
    return frame if frame is None or frame.size else _free(data, at, frame)


def _free(data: bytes, at: int, frame: Frame) -> Frame | None:
    """Return a frame of free format: it ends where the next header of its kind is."""
    sign = re.compile(re.escape(data[at : at + 2]) + b"[" + bytes([data[at + 2] & 0xFC]) + b"-"
                      + bytes([data[at + 2] | 3]) + b"]", re.DOTALL)  # fmt: skip
    match = sign.search(data, at + frame.side, at + 8_192)
    if match is None:
        last = len(data) - at
        return frame._replace(size=last) if last <= 8_192 else None
    return frame._replace(size=match.start() - at)


def _is_begin(data: bytes, at: int) -> bool:
    """Return whether frames of one kind follow each other from here, three or up to the end."""
    count, key, begin = 0, None, at
    while count < CHAIN and (frame := frame_at(data, at)):
        if key is not None and frame.key != key:
            return False
        key, at, count = frame.key, at + frame.size, count + 1
        if at >= len(data):
            break
    ends = at >= len(data) or is_filling(data[at : at + 512])
    return count >= CHAIN or (ends and count >= (2 if begin else 1))


def _walk(data: bytes, notes: Notes) -> list[Run]:
    runs: list[Run] = []
    at = max(0, find(data, notes=notes))
    total = 0
    while at < len(data):
        frame = frame_at(data, at)
        if frame is None or not _belongs(data, at, frame, runs):
            at = _skip(data, at, runs, notes)
            continue
        if at + frame.size > len(data):
            notes.warn("truncated", f"the last MP3 frame ends {at + frame.size - len(data)} bytes"
                       " before its end: it is not read")  # fmt: skip
            break
        total += 1
        notes.step(total)
        tag = _tag_of(data, at, frame)
        if tag or not runs or runs[-1].frame.key != frame.key:
            runs.append(Run(frame, tag or b"", len(data) - at))
        if tag is None:
            runs[-1].add(at, at + frame.size)
            notes.frames(runs[-1].count * frame.samples, frame.rate)
        at += frame.size
    return [run for run in runs if run.count or len(runs) == 1]


def _belongs(data: bytes, at: int, frame: Frame, runs: list[Run]) -> bool:
    if not runs or runs[-1].frame.key == frame.key:
        return True
    return _is_begin(data, at)


def _tag_of(data: bytes, at: int, frame: Frame) -> bytes | None:
    """Return a frame that holds a tag, b"" for one that is of no use, None for sound."""
    if frame.layer != 3:
        return None
    if data[at + frame.side : at + frame.side + 4] in (b"Xing", b"Info"):
        return data[at : at + frame.size]
    return b"" if data[at + 36 : at + 40] == b"VBRI" else None


def _skip(data: bytes, at: int, runs: list[Run], notes: Notes) -> int:
    """Return where frames go on. Raises InputError if much else is between."""
    if tag := id3_size(data, at):
        return at + tag
    if data[at] == 0:
        match = _NOT_ZERO.search(data, at)
        return match.start() if match else len(data)
    place = find(data, at + 1, notes=notes)
    if place < 0:
        rest = data[at:]
        if not is_filling(rest):
            notes.warn("trailing", f"{len(rest)} bytes after the last MP3 frame are not read")
        return len(data)
    if is_filling(data[at:place]):
        return place
    gap = f"{place - at} bytes from byte {at} on are no MP3 frames"
    largest = runs[-1].frame.size if runs else 0
    if place - at <= 2 * largest:
        notes.warn("damaged", f"{gap}: they are not read")
    else:
        notes.missing(f"this MP3 file is damaged: {gap}")
    return place


def _segment(data: bytes, run: Run, notes: Notes) -> Segment:
    body = b"".join(data[start:end] for start, end in run.spans)
    frames = run.count * run.frame.samples
    least = max(0, (run.count - _SLACK) * run.frame.samples)
    tag = _tag(run, notes)
    if tag:
        return Segment(tag + body, least)
    return Segment(body, least, at_most=frames, tagless=True)


def _tag(run: Run, notes: Notes) -> bytes:
    """Return the tag of a run with its number of frames, if it has one: it states a delay, too.

    Raises InputError if it states more than there is.
    """
    at = run.frame.side
    if len(run.tag) < at + 16:
        return b""
    flags, count, size = struct.unpack_from(">III", run.tag, at + 4)
    size = 0 if not flags & 2 else size if flags & 1 else count
    count = count if flags & 1 else 0
    if size > run.follows:
        notes.missing(f"truncated: the MP3 file promises {size} bytes, {run.follows} are there")
    elif count > run.count + 1:
        notes.missing(f"truncated: the MP3 file promises {count} frames, {run.count} are there")
    if not count:
        return b""
    return run.tag[: at + 8] + struct.pack(">I", run.count) + run.tag[at + 12 :]
