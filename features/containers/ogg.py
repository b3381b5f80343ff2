"""Ogg (RFC 3533): every stream of sound of a file, one after the other, whole and checked.

libsndfile reads the first stream of a file only, and passes over damaged pages without a word.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from common.errors import InputError, UnsupportedMedia
from features.containers import flac
from features.containers.notes import Notes, Segment, is_filling

FIRST, LAST = 2, 4
"""Flags of a page."""
CODECS = {
    b"\x01vorbis": "Vorbis", b"OpusHead": "Opus", b"\x7fFLAC": "FLAC", b"Speex   ": "Speex",
    b"PCM     ": "PCM", b"\x80theora": "Theora", b"fishead\0": "Skeleton", b"\x01video": "video",
    b"OVP80": "VP8", b"\x80kate": "Kate", b"BBCD\0": "Dirac",
}  # fmt: skip
READ = ("Vorbis", "Opus", "FLAC")
_OPUS_RATE = 48_000
_SLACK = 6_000
"""Frames by which a decoder may give less than the pages count: pre-skip, first blocks."""
_NONE = 0xFFFFFFFFFFFFFFFF
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_NO_CHECKSUM = bytes(4)


class Page(NamedTuple):
    """One page, and where it is."""

    at: int
    body: int
    end: int
    flags: int
    granule: int
    serial: int
    number: int


@dataclass
class Stream:
    """The pages of one logical stream."""

    codec: str
    rate: int
    pages: list[Page] = field(default_factory=list)


def crc(page: bytes) -> int:
    """Return the checksum of a page whose own is zero."""
    # zlib's is the same one, on reversed bits, with other first and last values.
    value = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(value.to_bytes(4, "little").translate(_REVERSED), "big")


def with_crc(page: bytes) -> bytes:
    """Return a page with its checksum in the place of any other."""
    head, body = page[:22], page[26:]
    return head + struct.pack("<I", crc(head + _NO_CHECKSUM + body)) + body


def segments(data: bytes, notes: Notes) -> list[Segment]:
    """Return the streams of sound. Raises InputError where pages are missing."""
    links = _links(data, _pages(data, notes), notes)
    chosen = [_choose(streams, notes) for streams in links]
    if not chosen:
        raise InputError("truncated: the OGG file ends inside a page")
    return [
        _segment(data, stream, notes, is_last=stream is chosen[-1], alone=_alone(links))
        for stream in chosen
    ]


def _alone(links: list[list[Stream]]) -> bool:
    return len(links) == 1 and len(links[0]) == 1


def _pages(data: bytes, notes: Notes) -> Iterator[Page]:
    at, damage = 0, ""
    while at < len(data):
        notes.part()
        page = _page(data, at)
        if page:
            at = page.end
            yield page
            continue
        place = data.find(b"OggS", at + 1)
        begins = data[at : at + 4] == b"OggS"[: len(data) - at]
        if place < 0 and begins:
            damage = damage or "truncated: the OGG file ends inside a page"
        elif place < 0 and not is_filling(data[at:]):
            notes.warn("trailing", f"{len(data) - at} bytes after the last page are not read")
        elif place >= 0 and not is_filling(data[at:place]):
            damage = damage or f"this OGG file is damaged at byte {at}"
        at = place if place >= 0 else len(data)
    if damage:
        notes.missing(damage)


def _page(data: bytes, at: int) -> Page | None:
    """Return the page at a place, None if it is none, cut or damaged."""
    if at + 27 > len(data) or data[at : at + 4] != b"OggS":
        return None
    _, flags, granule, serial, number, checksum, count = struct.unpack_from(
        "<BBQIIIB", data, at + 4
    )
    body = at + 27 + count
    end = body + sum(data[at + 27 : body])
    if end > len(data):
        return None
    if crc(data[at : at + 22] + _NO_CHECKSUM + data[at + 26 : end]) != checksum:
        return None
    return Page(at, body, end, flags, granule, serial, number)


def _links(data: bytes, pages: Iterable[Page], notes: Notes) -> list[list[Stream]]:
    """Return the streams that play at one time, for each of the times that follow each other."""
    links: list[list[Stream]] = []
    streams: dict[int, Stream] = {}
    begins = False
    for page in pages:
        if page.flags & FIRST:
            if not begins:
                links.append([])
                streams = {}
            begins = True
            stream = _stream(data[page.body : page.end])
            streams[page.serial] = stream
            links[-1].append(stream)
        else:
            begins = False
        if page.serial in streams:
            _append(streams[page.serial], page, notes)
    if not links:
        raise InputError("this OGG file is damaged or truncated: no stream begins in it")
    return links


def _append(stream: Stream, page: Page, notes: Notes) -> None:
    before = stream.pages[-1] if stream.pages else None
    # Servers that cut into a running stream leave pages out after its headers.
    if before and before.granule and page.number != before.number + 1:
        notes.missing(f"this OGG file is damaged: pages are missing before byte {page.at}")
    stream.pages.append(page)


def _stream(packet: bytes) -> Stream:
    codec = next((name for magic, name in CODECS.items() if packet.startswith(magic)), "unknown")
    rate = 0
    if codec == "Vorbis" and len(packet) >= 16:
        rate = struct.unpack_from("<I", packet, 12)[0]
    elif codec == "Opus":
        rate = _OPUS_RATE
    return Stream(codec, rate)


def _choose(streams: list[Stream], notes: Notes) -> Stream:
    sounds = [stream for stream in streams if stream.codec in READ]
    if not sounds:
        names = ", ".join(dict.fromkeys(stream.codec for stream in streams))
        raise UnsupportedMedia(f"an Ogg file of {names}")
    if len(sounds) > 1:
        notes.warn("tracks", f"{len(sounds)} streams of sound at one time: the first is read")
    return sounds[0]


def _segment(data: bytes, stream: Stream, notes: Notes, *, is_last: bool, alone: bool) -> Segment:
    pages = stream.pages
    open_end = not pages[-1].flags & LAST
    if open_end and is_last:
        notes.warn("truncated", "the OGG file has no last page: a recording that was interrupted")
    if stream.codec == "FLAC":
        return flac_segment(data, pages, notes)
    least = _frames(stream)
    if alone and not open_end and pages[0].at == 0 and pages[-1].end == len(data):
        return Segment(data, least, count_rate=stream.rate)
    parts = [data[page.at : page.end] for page in pages]
    if open_end:
        parts[-1] = closed(parts[-1])
    return Segment(b"".join(parts), least, count_rate=stream.rate)


def closed(page: bytes) -> bytes:
    """Return a page as the last of its stream."""
    return with_crc(page[:5] + bytes([page[5] | LAST]) + page[6:])


def _frames(stream: Stream) -> int:
    """Return how many frames the pages count, of the stream's own rate, at least."""
    counts = [page.granule for page in stream.pages if page.granule not in (0, _NONE)]
    return max(0, counts[-1] - counts[0] - _SLACK) if counts else 0


def packets(data: bytes, pages: list[Page]) -> Iterator[bytes]:
    """Yield the packets of a stream's pages."""
    begun = b""
    for page in pages:
        at = page.body
        size = 0
        for lace in data[page.at + 27 : page.body]:
            size += lace
            if lace < 255:
                yield begun + data[at : at + size]
                begun, at, size = b"", at + size, 0
        begun += data[at : at + size]


def flac_segment(data: bytes, pages: list[Page], notes: Notes) -> Segment:
    """Return FLAC in Ogg as a FLAC file."""
    parts = list(packets(data, pages))
    info = parts[0][9:51]
    if len(info) < 42 or info[:4] != flac.MAGIC:
        raise InputError("this OGG file is damaged or truncated: its FLAC header is not whole")
    frames = [part for part in parts[1:] if part[:1] == b"\xff"]
    found = flac.segments(info[:4] + b"\x80" + info[5:] + b"".join(frames), notes)
    if len(found) > 1:
        raise UnsupportedMedia("an Ogg file of FLAC whose rate or channels change")
    return found[0]
