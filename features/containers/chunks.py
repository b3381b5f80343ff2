"""Containers of chunks (WAV, RF64, RIFX, W64, AIFF, CAF, AU): where the sound is, and how long.

The sizes of a recorder that lost power, or of a program that writes into a pipe, are none: what is
there is read, and libsndfile gets a header that says so.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from common.errors import InputError
from features.containers import mpeg
from features.containers.notes import Notes, Segment, is_filling

UNKNOWN = 0xFFFFFFFF
PIPED = range(0x7FFFF000, 0x80000001)
"""Sizes that sox and arecord write into a pipe for an unknown length; ffmpeg writes `UNKNOWN`."""
PIPED_AIFF = range(0x7F000000, 0x80000009)
NEAR_UNKNOWN = 0xFFFFFF00
"""From here on a size that fits the file's own is that of a pipe minus its headers."""
MPEG = ("MP2", "MP3")
CODECS = {
    0x01: "PCM", 0x02: "MS ADPCM", 0x03: "float", 0x06: "A-law", 0x07: "mu-law", 0x11: "IMA ADPCM",
    0x14: "G.723 ADPCM", 0x22: "TrueSpeech", 0x28: "G.722", 0x31: "GSM 6.10", 0x40: "G.721",
    0x42: "G.723.1", 0x45: "G.726", 0x50: "MP2", 0x55: "MP3", 0x64: "G.726", 0x65: "G.722",
    0x83: "G.729", 0xFF: "AAC", 0x130: "ACELP", 0x160: "WMA 1", 0x161: "WMA", 0x162: "WMA Pro",
    0x163: "WMA Lossless", 0x1610: "AAC", 0x2000: "AC-3", 0x2001: "DTS", 0x566F: "Vorbis",
    0x674F: "Vorbis", 0x704F: "Opus", 0xF1AC: "FLAC", 0xFFFE: "EXTENSIBLE", 0xA106: "AAC",
}  # fmt: skip
_TRAILING = 4_096
"""Bytes after the stated sound that are worth a warning."""


@dataclass(frozen=True)
class Size:
    """A field of a header that holds a size."""

    at: int
    form: str
    offset: int
    """What it holds beyond the bytes of sound."""


@dataclass(frozen=True)
class Layout:
    """Where the sound of a file is."""

    body: int
    stated: int
    """Bytes of sound by the header; -1: it says that it does not know."""
    sizes: tuple[Size, ...]
    """Fields to correct."""
    align: int = 1
    """Bytes of one sample of all channels."""
    codec: str = ""
    whole: int | None = None
    """Bytes of the file by its first header."""


def riff_segments(data: bytes, notes: Notes) -> list[Segment]:
    """Return the sound of a WAV file (RIFF, RF64, RIFX)."""
    layout = _riff(data, notes)
    if layout.codec not in MPEG:
        return _repaired(data, layout, notes)
    end = layout.body + layout.stated if layout.stated > 0 else len(data)
    return mpeg.segments(data[layout.body : end], notes)


def w64_segments(data: bytes, notes: Notes) -> list[Segment]:
    """Return the sound of a Sony Wave64 file."""
    align = 1
    for name, body, size in _walk(data, 40, "<16sQ", notes, inside=24, even=8):
        if name[:4] == b"fmt ":
            align = _align(data, body, "<")
        if name[:4] == b"data":
            sizes = (Size(body - 8, "<Q", 24), Size(16, "<Q", body))
            stated = -1 if size >= 2**62 else size
            whole = struct.unpack_from("<Q", data, 16)[0]
            return _repaired(data, Layout(body, stated, sizes, align, whole=whole), notes)
    raise InputError("truncated: a W64 file without its data chunk")


def aiff_segments(data: bytes, notes: Notes) -> list[Segment]:
    """Return the sound of an AIFF or AIFC file."""
    frames: tuple[Size, ...] = ()
    align, codec = 1, ""
    for name, body, size in _walk(data, 12, ">4sI", notes):
        if name == b"COMM" and size >= 22 and body + 22 <= len(data):
            codec = data[body + 18 : body + 22].decode("latin-1")
        if name == b"COMM" and size >= 18 and body + 18 <= len(data):
            channels, _, bits = struct.unpack_from(">HIH", data, body)
            align = max(1, channels * -(-bits // 8))
            frames = (Size(body + 2, "frames", 0),)
        if name == b"SSND":
            if body + 8 > len(data):
                break
            offset = struct.unpack_from(">I", data, body)[0]
            # An offset beyond the chunk is no offset.
            begin = body + 8 + (offset if offset + 8 <= size else 0)
            sizes = (Size(body - 4, ">I", begin - body), Size(4, ">I", begin - 8), *frames)
            whole = struct.unpack_from(">I", data, 4)[0] + 8
            piped = size == UNKNOWN or (size in PIPED_AIFF and whole == body + size)
            stated = -1 if piped else max(0, size - (begin - body))
            return _repaired(data, Layout(begin, stated, sizes, align, codec, whole), notes)
    raise InputError("truncated: an AIFF file without its sound (SSND)")


def caf_segments(data: bytes, notes: Notes) -> list[Segment]:
    """Return the sound of a Core Audio file."""
    align, codec = 1, ""
    for name, body, size in _walk(data, 8, ">4sq", notes):
        if name == b"desc" and body + 32 <= len(data):
            align = max(1, struct.unpack_from(">I", data, body + 16)[0])
            codec = data[body + 8 : body + 12].decode("latin-1").strip()
        if name == b"data":
            stated = -1 if size < 4 else size - 4
            layout = Layout(body + 4, stated, (Size(body - 8, ">q", 4),), align, codec)
            return _repaired(data, layout, notes)
    raise InputError("truncated: a CAF file without its data chunk")


def au_segments(data: bytes, notes: Notes) -> list[Segment]:
    """Return the sound of a Sun AU file, big- or little-endian."""
    order = ">" if data[:4] == b".snd" else "<"
    if len(data) < 24:
        raise InputError("truncated: an AU file ends within its header")
    body, size = struct.unpack_from(f"{order}II", data, 4)
    stated = -1 if size == UNKNOWN or size in PIPED else size
    return _repaired(data, Layout(body, stated, (Size(8, f"{order}I", 0),)), notes)


def _walk(
    data: bytes, at: int, form: str, notes: Notes, *, inside: int = 0, even: int = 2
) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, place and size of the chunks, up to one beyond the end.

    inside: bytes of the head that its size counts. even: chunks begin at multiples of it.
    """
    head = struct.calcsize(form)
    while at + head <= len(data):
        notes.part()
        name, size = struct.unpack_from(form, data, at)
        size -= inside
        yield name, at + head, size
        if size < 0:
            return
        at += head + size + (-size % even if form != ">4sq" else 0)


def _riff(data: bytes, notes: Notes) -> Layout:
    order = ">" if data[:4] == b"RIFX" else "<"
    align, tag, long_size, long_whole = 1, 0, None, None
    for name, body, size in _walk(data, 12, f"{order}4sI", notes):
        if name == b"fmt ":
            align = _align(data, body, order)
            tag = struct.unpack_from(f"{order}H", data, body)[0] if body + 2 <= len(data) else 0
        elif name == b"ds64" and size >= 16 and body + 16 <= len(data):
            long_whole, long_size = struct.unpack_from("<QQ", data, body)
        elif name == b"data":
            sizes = (Size(body - 4, f"{order}I", 0), Size(4, f"{order}I", body - 8))
            whole = struct.unpack_from(f"{order}I", data, 4)[0] + 8
            if data[:4] == b"RF64" and size == UNKNOWN:
                stated = -1 if long_size in (None, UNKNOWN, 2**64 - 1) else long_size or 0
                return Layout(body, stated, sizes, align, _codec(tag), (long_whole or 0) + 8)
            stated = -1 if _piped(size, whole, body) else size
            return Layout(body, stated, sizes, align, _codec(tag), whole)
    raise InputError("truncated: a WAV file without its data chunk")


def _codec(tag: int) -> str:
    return CODECS.get(tag, f"codec 0x{tag:04X}")


def _piped(size: int, whole: int, body: int) -> bool:
    """Return whether the writer did not know the length, which the sizes of the file mark."""
    return size == UNKNOWN or ((size in PIPED or size >= NEAR_UNKNOWN) and whole == body + size)


def _align(data: bytes, body: int, order: str) -> int:
    if body + 14 > len(data):
        return 1
    return max(1, int(struct.unpack_from(f"{order}H", data, body + 12)[0]))


def _repaired(data: bytes, layout: Layout, notes: Notes) -> list[Segment]:
    """Return the file with the size of the sound that is there."""
    there = max(0, len(data) - layout.body)
    stated = layout.stated
    after = data[layout.body + max(0, stated) :]
    if stated == there:
        return [Segment(data, codec=layout.codec)]
    # Chunks of CAF and W64 have other heads.
    is_other = data[:4] in (b"caff", b"riff")
    explained = (_covered(layout, len(data)) and is_other) or _are_chunks(after)
    if stated == 0 and there and not explained:
        notes.warn("truncated", "the sizes in the header were never filled in, as by a recorder"
                   " that was interrupted: all that is there is read")  # fmt: skip
        stated = -1
    if 0 <= stated < there:
        is_tag = is_filling(after) and not after.startswith(b"LIST")
        if len(after) > _TRAILING and not explained and not is_tag:
            notes.warn("trailing", f"{len(after)} bytes after the {stated} bytes of sound that the"
                       " header states are not read")  # fmt: skip
        return [Segment(data, codec=layout.codec)]
    if stated // layout.align > there // layout.align:
        detail = f"the header promises {stated} bytes of sound, {there} are there"
        if layout.whole is not None and layout.whole == len(data):
            notes.warn("truncated", f"{detail}, up to the end that the file states")
        else:
            notes.missing(f"truncated: {detail}")
    return [Segment(_with_size(data, layout, there - there % layout.align), codec=layout.codec)]


def _covered(layout: Layout, size: int) -> bool:
    """Return whether the file's own size includes what is after the sound."""
    return layout.whole is None or layout.whole >= size - 1


def _are_chunks(data: bytes) -> bool:
    """Return whether bytes after a sound are chunks up to their end, none of them of sound.

    Of what no kind of file has (a name of no letters, a size beyond the end) it is not believed.
    """
    data = data[data[:1] == b"\0" :]
    for size_form in ("<I", ">I"):
        at = 0
        while at + 8 <= len(data):
            name = data[at : at + 4]
            if name == b"data" or not all(32 <= byte < 127 for byte in name):
                break
            size = struct.unpack_from(size_form, data, at + 4)[0]
            at += 8 + size + size % 2
        if len(data) - 1 <= at <= len(data) + 1:
            return True
    return False


def _with_size(data: bytes, layout: Layout, size: int) -> bytes:
    patched = bytearray(data[: layout.body + size])
    for field in layout.sizes:
        if field.form == "frames":
            struct.pack_into(">I", patched, field.at, size // layout.align)
        else:
            value = size + field.offset
            struct.pack_into(field.form, patched, field.at, value)
    if patched[:4] == b"RF64":
        patched[:4] = b"RIFF"
    return bytes(patched)
