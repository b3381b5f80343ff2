"""WebM and Matroska: the first track of sound, as Ogg, FLAC, MP3 or WAV (RFC 9559).

Browsers record Opus in WebM, in a file whose length and clusters have no size.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from common.errors import InputError, UnsupportedMedia
from features.containers import flac, mpeg, remux
from features.containers.notes import Notes, Segment

EBML, SEGMENT, CLUSTER, TRACKS, TRACK = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE
NUMBER, TYPE, CODEC, PRIVATE, AUDIO = 0xD7, 0x83, 0x86, 0x63A2, 0xE1
RATE, CHANNELS, BITS = 0xB5, 0x9F, 0x6264
GROUP, BLOCK, SIMPLE_BLOCK, PADDING = 0xA0, 0xA1, 0xA3, 0x75A2
ENCODINGS = 0x6D80
_OPENED = (SEGMENT, CLUSTER, TRACKS, TRACK, AUDIO, GROUP)
"""Elements whose children are read in turn."""
_SOUND = 2
CODECS = {
    "A_OPUS": "Opus", "A_VORBIS": "Vorbis", "A_FLAC": "FLAC", "A_MPEG/L3": "MP3",
    "A_MPEG/L2": "MP2",
    "A_PCM/INT/LIT": "PCM", "A_PCM/FLOAT/IEEE": "float PCM", "A_AAC": "AAC", "A_AC3": "AC-3",
    "A_EAC3": "E-AC-3", "A_DTS": "DTS", "A_ALAC": "ALAC",
}  # fmt: skip


@dataclass
class Track:
    """A track of the file and its packets."""

    number: int = 0
    type: int = 0
    codec: str = ""
    private: bytes = b""
    rate: float = 8_000.0
    channels: int = 1
    bits: int = 16
    encoded: bool = False
    packets: list[bytes] = field(default_factory=list)
    padding: int = 0
    """Nanoseconds at the end that are no sound."""


@dataclass
class _File:
    tracks: list[Track] = field(default_factory=list)

    def sounds(self) -> list[Track]:
        return [track for track in self.tracks if track.type == _SOUND]


def segments(data: bytes, notes: Notes) -> list[Segment]:
    """Return the first track of sound. Raises UnsupportedMedia naming a codec that is not read."""
    file = _File()
    _read(data, file, notes)
    sounds = file.sounds()
    if not sounds:
        raise UnsupportedMedia("a WebM or Matroska file without sound")
    track = next((each for each in sounds if each.packets), sounds[0])
    if len(sounds) > 1:
        notes.warn("tracks", f"{len(sounds)} tracks of sound: one is read")
    reader = _READERS.get(track.codec)
    if reader is None or track.encoded:
        name = CODECS.get(track.codec.split("/LC")[0], track.codec) or "unknown codec"
        raise UnsupportedMedia(f"{name} in WebM or Matroska")
    if not track.packets:
        raise InputError("truncated: the WebM file ends before its sound")
    return reader(track, notes)


def _vint(data: bytes, at: int, *, keep: bool) -> tuple[int, int]:
    """Return a number of variable length and where it ends; -1 as a size that is unknown."""
    lead = data[at] if at < len(data) else 0
    if not lead:
        return 0, len(data) + 1
    length = 9 - lead.bit_length()
    value = int.from_bytes(data[at : at + length], "big")
    if keep:
        return value, at + length
    value &= (1 << 7 * length) - 1
    return (-1 if value == (1 << 7 * length) - 1 else value), at + length


def _elements(data: bytes, notes: Notes) -> Iterator[tuple[int, int, int]]:
    """Yield id, begin and end of all elements, those inside of others after them."""
    at = 0
    while at < len(data):
        notes.part()
        name, body = _vint(data, at, keep=True)
        size, body = _vint(data, body, keep=False)
        end = body + size
        if body > len(data):
            notes.warn("truncated", "the file ends inside of an element")
            return
        if name in _OPENED:
            yield name, body, end
            at = body
            continue
        if size < 0:
            raise InputError(f"this WebM file is damaged at byte {at}")
        if end > len(data):
            notes.missing(f"truncated: the WebM file ends {end - len(data)} bytes before the end"
                          " of its last block")  # fmt: skip
            return
        yield name, body, end
        at = end


def _read(data: bytes, file: _File, notes: Notes) -> None:
    track = Track()
    for name, at, end in _elements(data, notes):
        if name == TRACK:
            track = Track()
            file.tracks.append(track)
        elif name in (BLOCK, SIMPLE_BLOCK):
            _add_block(data, at, end, file)
        elif name == PADDING:
            for each in file.sounds():
                each.padding = int.from_bytes(data[at:end], "big", signed=True)
        else:
            _describe(track, name, data[at:end])


def _describe(track: Track, name: int, value: bytes) -> None:
    number = int.from_bytes(value[:8], "big")
    if name == NUMBER:
        track.number = number
    elif name == TYPE:
        track.type = number
    elif name == CODEC:
        track.codec = value.rstrip(b"\0").decode("ascii", "replace")
    elif name == PRIVATE:
        track.private = value
    elif name == CHANNELS:
        track.channels = number
    elif name == BITS:
        track.bits = number
    elif name == ENCODINGS:
        track.encoded = True
    elif name == RATE and len(value) in (4, 8):
        track.rate = struct.unpack(">f" if len(value) == 4 else ">d", value)[0]


def _add_block(data: bytes, at: int, end: int, file: _File) -> None:
    number, at = _vint(data, at, keep=False)
    track = next((each for each in file.sounds() if each.number == number), None)
    if track is None or at + 3 > end:
        return
    lacing = data[at + 2] >> 1 & 3
    body = data[at + 3 : end]
    track.packets += [body] if not lacing else _laced(body, lacing)


def _laced(body: bytes, lacing: int) -> list[bytes]:
    """Return the packets of a block that holds several (1: Xiph, 2: of one size, 3: EBML)."""
    count, at = body[0] + 1 if body else 1, 1
    if lacing == 2:
        size = (len(body) - 1) // count
        sizes = [size] * count
    else:
        sizes = []
        while len(sizes) < count - 1:
            size, at = _lace(body, at, sizes, lacing)
            if size < 0 or at > len(body):
                raise InputError("this WebM file is damaged: sizes of packets that do not fit")
            sizes.append(size)
        sizes.append(len(body) - at - sum(sizes))
    packets = []
    for size in sizes:
        packets.append(body[at : at + max(0, size)])
        at += size
    return packets


def _lace(body: bytes, at: int, sizes: list[int], lacing: int) -> tuple[int, int]:
    if lacing == 1:
        size = 0
        while at < len(body) and body[at] == 255:
            size, at = size + 255, at + 1
        return (size + body[at], at + 1) if at < len(body) else (-1, at)
    value, after = _vint(body, at, keep=False)
    if not sizes:
        return value, after
    return sizes[-1] + value - (1 << 7 * (after - at) - 1) + 1, after


def _opus(track: Track, notes: Notes) -> list[Segment]:
    return [remux.opus(track.private, track.packets, track.padding, notes)]


def _vorbis(track: Track, notes: Notes) -> list[Segment]:
    return [remux.vorbis(track.private, track.packets, track.padding, notes)]


def _flac(track: Track, notes: Notes) -> list[Segment]:
    return flac.segments(track.private + b"".join(track.packets), notes)


def _mpeg(track: Track, notes: Notes) -> list[Segment]:
    return mpeg.segments(b"".join(track.packets), notes)


def _pcm(track: Track, notes: Notes) -> list[Segment]:
    raw = b"".join(track.packets)
    tag = 3 if track.codec == "A_PCM/FLOAT/IEEE" else 1
    rate, width = round(track.rate), track.channels * track.bits // 8
    notes.frames(len(raw) // max(1, width), rate)
    form = struct.pack(
        "<HHIIHH", tag, track.channels & 0xFFFF, rate, rate * width, width & 0xFFFF, track.bits
    )
    head = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(raw))
    return [Segment(b"RIFF" + struct.pack("<I", len(head) + len(raw)) + head + raw)]


_READERS = {
    "A_OPUS": _opus,
    "A_VORBIS": _vorbis,
    "A_FLAC": _flac,
    "A_MPEG/L3": _mpeg,
    "A_MPEG/L2": _mpeg,
    "A_PCM/INT/LIT": _pcm,
    "A_PCM/FLOAT/IEEE": _pcm,
}
