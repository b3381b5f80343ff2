"""The headers of AVIF and HEIC files: size, orientation, and what their data may decode to.

ISO/IEC 14496-12 and 23008-12. Only the primary picture is decoded: of a sequence, the picture that
stands beside its tracks.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from common.errors import InputError, Unprocessable, UnsupportedMedia
from features.image_files.coded_sizes import av1_pixels, hevc_pixels, sps_pixels

AVIF_BRANDS = {b"avif", b"avis"}
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
MAX_BOXES = 2**16
"""Boxes, items and associations of one file."""
_TURNED = {0: 1, 1: 8, 2: 3, 3: 6}
"""By quarter turns to the left, the EXIF orientation."""
_MIRRORED = {
    0: {1: 4, 8: 5, 3: 2, 6: 7},
    1: {1: 2, 8: 7, 3: 4, 6: 5},
}
"""By the axis of a mirror (0: top and bottom change places), the same of what was turned before."""
_CODED = {"AVIF": (b"av01",), "HEIC": (b"hvc1", b"hev1")}
_DERIVED = (b"grid", b"iovl")
_OF_SEQUENCES = {b"avis": b"avif", b"msf1": b"mif1", b"hevc": b"heic", b"hevx": b"heix"}
"""By the brand of a sequence, that of a still picture."""


@dataclass
class _Meta:
    """What stands in the box `meta`."""

    primary: int = -1
    kinds: dict[int, bytes] = field(default_factory=dict)
    """By item, its type."""
    properties: list[tuple[bytes, bytes]] = field(default_factory=list)
    of_item: dict[int, list[int]] = field(default_factory=dict)
    """By item, indices of its properties from 1."""
    data: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class HeifHeader:
    """What is known of a file before it is decoded."""

    width: int
    height: int
    """As stored, before it is turned."""
    orientation: int
    """As EXIF counts it; what EXIF itself has does not apply."""
    largest: int
    """The most pixels of a picture that the decoder may meet."""
    cropped: tuple[int, int]
    """Width and height of what is shown of it, before it is turned."""


def brand_kind(data: bytes) -> str:
    """Return AVIF, HEIC or "" by the brands of the first box."""
    if data[4:8] != b"ftyp":
        return ""
    content = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
    brands = {content[at : at + 4] for at in range(0, len(content), 4) if at != 4}
    if brands & AVIF_BRANDS:
        return "AVIF"
    return "HEIC" if brands & HEIC_BRANDS else ""


def read(data: bytes, kind: str) -> HeifHeader:
    """Return the header of a file. Raises InputError, Unprocessable, UnsupportedMedia."""
    metas = [data[begin:end] for name, begin, end in _boxes(data) if name == b"meta"]
    if len(metas) != 1:
        raise InputError(f"a file of this kind ({kind}) without a still picture")
    meta = _meta(metas[0], data)
    if meta.kinds.get(meta.primary) not in (*_CODED[kind], *_DERIVED):
        coded = meta.kinds.get(meta.primary, b"nothing").decode("latin-1")
        raise UnsupportedMedia(f"a file of this kind ({kind}) that holds {coded!r:.20}")
    own = [
        meta.properties[index - 1]
        for index in meta.of_item.get(meta.primary, [])
        if 0 < index <= len(meta.properties)
    ]
    size = next((content for name, content in own if name == b"ispe"), None)
    if size is None:
        raise InputError(f"the {kind} file does not state its size")
    width, height = struct.unpack_from(">II", size, 4)
    cropped = next((_cropped(content) for name, content in own if name == b"clap"), (width, height))
    return HeifHeader(width, height, _orientation(own), _largest(meta, kind), cropped)


def without_tracks(data: bytes) -> bytes:
    """Return a file of the same length whose sequence no decoder finds."""
    found = list(_boxes(data))
    tracks = [begin for name, begin, _ in found if name == b"moov"]
    if not tracks:
        return data
    kept = bytearray(data)
    for begin in tracks:
        at = kept.rfind(b"moov", 0, begin)
        kept[at : at + 4] = b"free"
    for begin, end in ((begin, end) for name, begin, end in found if name == b"ftyp"):
        for at in range(begin, end - 3, 4):
            brand = bytes(kept[at : at + 4])
            kept[at : at + 4] = _OF_SEQUENCES.get(brand, brand)
    return bytes(kept)


def _boxes(data: bytes, at: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, begin and end of each box's content. Raises InputError, Unprocessable."""
    for _ in range(MAX_BOXES):
        if at + 8 > len(data):
            return
        size, name = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1:
            size, begin = struct.unpack_from(">Q", data, begin)[0], begin + 8
        end = at + size if size else len(data)
        if end > len(data):
            raise InputError(f"truncated: a box ends {end - len(data)} bytes after the file")
        if end < begin:
            raise InputError("damaged: a box is smaller than its header")
        yield name, begin, end
        at = end
    if at + 8 <= len(data):
        raise Unprocessable(f"a file of more than {MAX_BOXES} boxes")


def _meta(content: bytes, data: bytes) -> _Meta:
    found = _Meta()
    boxes = {name: content[begin:end] for name, begin, end in _boxes(content, 4)}
    if pitm := boxes.get(b"pitm"):
        found.primary = int.from_bytes(pitm[4 : 8 if pitm[0] else 6], "big")
    found.kinds = dict(_items(boxes.get(b"iinf", b"")))
    for name, begin, end in _boxes(boxes.get(b"iprp", b"")):
        inside = boxes[b"iprp"][begin:end]
        if name == b"ipco":
            found.properties = [(each, inside[a:b]) for each, a, b in _boxes(inside)]
        elif name == b"ipma":
            found.of_item |= _associations(inside)
    if iloc := boxes.get(b"iloc"):
        found.data = _item_data(iloc, data, boxes.get(b"idat", b""))
    return found


def _items(iinf: bytes) -> Iterator[tuple[int, bytes]]:
    if not iinf:
        return
    for name, begin, end in _boxes(iinf, 8 if iinf[0] else 6):
        infe = iinf[begin:end]
        if name == b"infe" and infe[0] >= 2:
            size = 2 if infe[0] == 2 else 4
            yield int.from_bytes(infe[4 : 4 + size], "big"), infe[6 + size : 10 + size]


def _associations(ipma: bytes) -> dict[int, list[int]]:
    version, wide = ipma[0], ipma[3] & 1
    found, at = {}, 8
    for _ in range(_bounded(int.from_bytes(ipma[4:8], "big"))):
        item = int.from_bytes(ipma[at : at + (4 if version else 2)], "big")
        at += 4 if version else 2
        count, at = ipma[at], at + 1
        code, mask = (">H", 0x7FFF) if wide else (">B", 0x7F)
        size = struct.calcsize(code)
        found[item] = [
            struct.unpack_from(code, ipma, at + size * number)[0] & mask for number in range(count)
        ]
        at += size * count
    return found


def _bounded(count: int) -> int:
    if count > MAX_BOXES:
        raise Unprocessable(f"a file of more than {MAX_BOXES} items")
    return count


def _item_data(iloc: bytes, data: bytes, idat: bytes) -> dict[int, bytes]:
    """Return the bytes of each item. Raises InputError where they are not all there."""
    version = iloc[0]
    sizes = iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15 if version else 0
    found: defaultdict[int, bytes] = defaultdict(bytes)
    at, held = 6, 0

    def number(size: int) -> int:
        nonlocal at
        if at + size > len(iloc):
            raise InputError("truncated: the table of items ends early")
        at += size
        return int.from_bytes(iloc[at - size : at], "big")

    wide = 4 if version == 2 else 2
    for _ in range(_bounded(number(wide))):
        item = number(wide)
        inside = number(2) & 15 if version else 0
        number(2)
        base = number(sizes[2])
        for _ in range(number(2)):
            number(sizes[3])
            begin, length = base + number(sizes[0]), number(sizes[1])
            source = idat if inside == 1 else data
            end = begin + length if length else len(source)
            if inside > 1 or end > len(source):
                raise InputError(f"truncated: the data of item {item} is not all there")
            held += end - begin
            if held > 4 * len(data):
                raise Unprocessable("the items of the file overlap")
            found[item] += source[begin:end]
    return found


def _cropped(clap: bytes) -> tuple[int, int]:
    """Return the width and height of a clean aperture, two fractions."""
    width, of_width, height, of_height = struct.unpack_from(">4I", clap)
    if not (of_width and of_height):
        raise InputError("damaged: a clean aperture has a denominator of 0")
    return width // of_width, height // of_height


def _orientation(properties: list[tuple[bytes, bytes]]) -> int:
    """Return the EXIF orientation of a rotation and a mirror after it."""
    turned = next((_TURNED[content[0] & 3] for name, content in properties if name == b"irot"), 1)
    mirror = next((content[0] & 1 for name, content in properties if name == b"imir"), None)
    return turned if mirror is None else _MIRRORED[mirror][turned]


def _largest(meta: _Meta, kind: str) -> int:
    """Return the most pixels by the boxes, the derived pictures and the coded data."""
    most, length_size = 0, 4
    for name, content in meta.properties:
        if name == b"ispe":
            width, height = struct.unpack_from(">II", content, 4)
            most = max(most, width * height)
        elif name == b"hvcC" and kind == "HEIC":
            length_size = (content[21] & 3) + 1
            most = max(most, _configured(content))
    for item, coded in meta.kinds.items():
        content = meta.data.get(item, b"")
        if coded in _DERIVED:
            # Two bytes, then rows and columns, or the colour behind an overlay.
            at, code = 4 if coded == b"grid" else 10, ">II" if content[1] & 1 else ">HH"
            width, height = struct.unpack_from(code, content, at)
            most = max(most, width * height)
        elif coded == b"av01":
            most = max(most, av1_pixels(content))
        elif coded in _CODED["HEIC"]:
            most = max(most, hevc_pixels(content, length_size=length_size))
    return most


def _configured(hvcc: bytes) -> int:
    """Return the most pixels by the parameter sets of a HEVC configuration."""
    at, most = 23, 0
    for _ in range(hvcc[22]):
        count = struct.unpack_from(">H", hvcc, at + 1)[0]
        at += 3
        for _ in range(count):
            size = struct.unpack_from(">H", hvcc, at)[0]
            unit = hvcc[at + 2 : at + 2 + size]
            if len(unit) > 2 and unit[0] >> 1 & 63 == 33:
                most = max(most, sps_pixels(unit))
            at += 2 + size
    return most
