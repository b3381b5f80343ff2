"""The headers of picture files: kind, size and orientation, read before decoding.

All else (comments, profiles, thumbnails, further frames) is taken out, so that the decoder never
meets it: most ways to make a small file cost much memory or time lie there.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from common.errors import InputError, Unprocessable, UnsupportedMedia
from features.image_files import bmp_fields, heic, heif_header, jpeg_data, picture_hints

KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
"""HEIC besides, where the package pillow-heif is installed."""
SUFFIXES = (
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif",
    ".tiff", ".avif", ".heic", ".heif", ".hif",
)  # fmt: skip
"""Of the names of files of these kinds."""
MAX_PARTS = 2**17
"""Segments, chunks, blocks or strips of one file."""
MAX_SCANS = 40
"""Passes of a progressive JPEG; ten are usual. Each costs the time of a whole picture."""
MAX_TEXT = 2**17
"""Bytes of a text that are searched for the orientation."""
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])[\"'<]")
_SCAN = re.compile(rb"\xff\xda\x00[\x08\x0a\x0c\x0e][\x01-\x04]")


@dataclass(frozen=True)
class Bare:
    """A picture file without all that is not pixels."""

    kind: str
    data: bytes
    width: int
    """Pixels, as stored; an orientation of 5 to 8 exchanges it with the height."""
    height: int
    orientation: int
    """As EXIF or XMP has it: 1 is upright."""
    largest: int = 0
    """Pixels of the largest picture that the decoder may meet, if that is not this size."""
    reducible: bool = False
    """A JPEG of one pass: the decoder can reduce it block by block, and never holds it whole."""
    scans: int = 0
    """Where the first scan of a JPEG begins in the data."""
    missing: str = ""
    """Why a JPEG cannot be whole."""
    coarse: bool | None = None
    """Whether the scans of a progressive JPEG stop early; None for any other file."""


def sniff(data: bytes) -> str:
    """Return the kind of a file. Raises InputError when empty, UnsupportedMedia for other kinds."""
    if not data:
        raise InputError("the file is empty")
    for kind, pattern in _MAGIC.items():
        if pattern.match(data):
            return kind
    if kind := heif_header.brand_kind(data):
        return kind
    raise UnsupportedMedia(
        f"not a picture of a kind that is read here ({', '.join(KINDS)}){picture_hints.hint(data)}"
    )


_MAGIC = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM"),
    "TIFF": re.compile(rb"II\*\x00|MM\x00\*"),
}


def unwrap(data: bytes) -> Bare:
    """Return what the decoder needs of a file, and its size.

    Raises UnsupportedMedia (none of `KINDS`, HEIC without its decoder), InputError (truncated,
    damaged), Unprocessable (too many parts).
    """
    kind = sniff(data)
    try:
        return _UNWRAP[kind](data)
    except (struct.error, IndexError) as error:
        raise InputError(f"truncated: the {kind} file ends in its header") from error


def _counted(kind: str, count: int) -> None:
    if count > MAX_PARTS:
        raise Unprocessable(f"a {kind} file of more than {MAX_PARTS} parts")


def _jpeg(data: bytes) -> Bare:
    """Keep APP0 and APP14 (colours) and all but the other APPn and COM (ITU T.81, annex B)."""
    kept, frame, turned, xmp = [data[:2]], None, 0, 0
    one_pass = False
    for count, (marker, at, end) in enumerate(_segments(data)):
        _counted("JPEG", count)
        if marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            turned = _orientation(data[at + 10 : end])
        elif marker == 0xE1:
            xmp = xmp or _orientation_in_xmp(data[at + 4 : end])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            frame = jpeg_data.Frame.read(data, at)
        if marker == 0xDA:
            one_pass = frame is not None and frame.one_pass(data[at + 4])
            kept.append(data[at:])
            break
        if marker not in {*range(0xE1, 0xEE), 0xEF, 0xFE}:
            kept.append(data[at:end])
    if frame is None:
        raise InputError("a JPEG file without a frame header")
    if len(_SCAN.findall(kept[-1])) > MAX_SCANS:
        raise Unprocessable(f"a JPEG file of more than {MAX_SCANS} scans")
    whole = b"".join(kept)
    return Bare(
        "JPEG",
        whole,
        frame.width,
        frame.height,
        turned or xmp or 1,
        reducible=one_pass,
        scans=len(whole) - len(kept[-1]),
        missing=jpeg_data.missing(frame, kept[-1]),
        coarse=jpeg_data.is_coarse(frame, kept[-1]),
    )


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield marker, begin and end of each segment up to the first scan.

    Stray bytes between segments are passed over, as every decoder does.
    """
    at, fills = 2, 0
    while True:
        if data[at] != 0xFF and (at := data.find(b"\xff", at)) < 0:
            raise InputError("damaged: the JPEG file has no marker where one must be")
        marker = data[at + 1]
        if marker in (0xFF, 0x00):  # a fill byte, or a stray one
            _counted("JPEG", fills := fills + 1)
            at += 1
            continue
        length = (
            0
            if 0xD0 <= marker <= 0xD8 or marker == 0x01
            else struct.unpack_from(">H", data, at + 2)[0]
        )
        yield marker, at, at + 2 + length
        at += 2 + length


def _png(data: bytes) -> Bare:
    """Keep the critical chunks and the transparency. PNG specification, third edition."""
    kept, turned, others, at = [data[:8]], 0, 0, 8
    for count in range(MAX_PARTS + 2):
        _counted("PNG", count)
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            raise InputError(f"truncated: a PNG chunk ends {end - len(data)} bytes after the file")
        if name == b"eXIf":
            turned = _orientation(data[at + 8 : end - 4])
        elif name in _PNG_TEXTS:
            others = others or _orientation_in_text(name, data[at + 8 : end - 4])
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            kept.append(data[at:end])
        at = end
        if name == b"IEND":
            break
    width, height = struct.unpack_from(">II", data, 16)
    return Bare("PNG", b"".join(kept), width, height, turned or others or 1)


_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")


def _orientation_in_text(name: bytes, content: bytes) -> int:
    """Return the orientation in a text chunk: XMP, or EXIF in hexadecimal (ImageMagick); or 0."""
    keyword, _, rest = content.partition(b"\0")
    if keyword == b"XML:com.adobe.xmp":
        return _orientation_in_xmp(rest)
    if keyword not in (b"Raw profile type exif", b"Raw profile type APP1"):
        return 0
    if name == b"zTXt":
        try:
            rest = zlib.decompressobj().decompress(rest[1:], MAX_TEXT)
        except zlib.error:
            return 0
    # A name, the number of bytes, and their digits in lines.
    digits = re.sub(rb"\s", b"", b"".join(rest[:MAX_TEXT].lstrip().split(b"\n")[2:]))
    if not re.fullmatch(rb"(?:[0-9a-fA-F]{2})+", digits):
        return 0
    return _orientation(bytes.fromhex(digits.decode()).removeprefix(b"Exif\0\0"))


def _orientation_in_xmp(content: bytes) -> int:
    found = _XMP_ORIENTATION.search(content[:MAX_TEXT])
    return int(found[1]) if found else 0


def _webp(data: bytes) -> Bare:
    """Read the size of the canvas; the decoder takes the file as it is. RFC 9649."""
    length = struct.unpack_from("<I", data, 4)[0] + 8
    if length > len(data):
        raise InputError(f"truncated: the header promises {length} bytes, {len(data)} are there")
    if data[12:16] == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
    elif data[12:16] == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", data, 26))
    return Bare("WEBP", data, width, height, _webp_orientation(data[:length]))


def _webp_orientation(data: bytes) -> int:
    at, count, turned, xmp = 12, 0, 0, 0
    while at + 8 <= len(data):
        _counted("WEBP", count := count + 1)
        name, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length] if name in (b"EXIF", b"XMP ") else b""
        if name == b"EXIF":
            turned = turned or _orientation(content.removeprefix(b"Exif\0\0"))
        if name == b"XMP ":
            xmp = xmp or _orientation_in_xmp(content)
        at += 8 + length + length % 2
    return turned or xmp or 1


def _gif(data: bytes) -> Bare:
    """Keep the first picture and the extension with its transparency (GIF89a specification)."""
    at = 13 + _colours(data[10])
    kept, count = [data[:at]], 0
    while data[at] == 0x21:
        end, count = _blocks_end(data, at + 2, count)
        if data[at + 1] == 0xF9:
            kept.append(data[at:end])
        at = end
    if data[at] != 0x2C:
        raise InputError("a GIF file without a picture")
    left, top, width, height, flags = struct.unpack_from("<4HB", data, at + 1)
    end, _ = _blocks_end(data, at + 11 + _colours(flags), count)
    screen = struct.unpack_from("<HH", data, 6)
    kept += [data[at:end], b";"]
    return Bare(
        "GIF", b"".join(kept), max(screen[0], left + width), max(screen[1], top + height), 1
    )


def _colours(flags: int) -> int:
    """Return the bytes of a colour table."""
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks_end(data: bytes, at: int, count: int) -> tuple[int, int]:
    """Return where a series of blocks ends, and the count of the file's blocks with them."""
    while True:
        _counted("GIF", count := count + 1)
        if not data[at]:
            return at + 1, count
        at += 1 + data[at]


def _bmp(data: bytes) -> Bare:
    """Read the size; the height is negative when rows are stored from the top."""
    header = struct.unpack_from("<I", data, 14)[0]
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    usual = data if header == 12 else bmp_fields.usual(data)
    return Bare("BMP", usual, width, abs(height), 1)


_TIFF_KEPT = {
    256,
    257,
    258,
    259,
    262,
    266,
    273,
    277,
    278,
    279,
    284,
    292,
    293,
    317,
    320,
    *range(322, 326),
    332,
    338,
}
_TIFF_KEPT |= {339, 347, *range(529, 533)}
"""Tags that say how the pixels are stored. TIFF 6.0, section 8 and the lists of the sections after
it."""
_TIFF_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}


def _tiff(data: bytes) -> Bare:
    """Append a directory of the first picture's necessary tags, and point the header to it."""
    order, entries = _directory(data)
    held = sum(_TIFF_SIZES.get(kind, 1) * count for _, kind, count, _ in entries)
    if held > len(data):
        raise InputError(
            f"damaged: the tags of the TIFF file speak of {held} bytes, the file has {len(data)}"
        )
    _counted("TIFF", max((count for tag, _, count, _ in entries if tag in (273, 324)), default=0))
    value = {tag: _number(order, kind, raw) for tag, kind, _, raw in entries}
    tile = value.get(322, 0) * value.get(323, 0)
    width, height = value.get(256, 0), value.get(257, 0)
    if tile > 4 * max(width * height, 2**20):
        raise Unprocessable(f"a TIFF file of {width} x {height} pixels with tiles of {tile}")
    rows = [
        struct.pack(f"{order}HHI", tag, kind, count) + raw
        for tag, kind, count, raw in entries
        if tag in _TIFF_KEPT
    ]
    padding = b"\0" * (len(data) % 2)
    directory = struct.pack(f"{order}H", len(rows)) + b"".join(rows) + b"\0\0\0\0"
    head = data[:4] + struct.pack(f"{order}I", len(data) + len(padding))
    return Bare(
        "TIFF",
        b"".join((head, data[8:], padding, directory)),
        width,
        height,
        _upright(value.get(274, 1)),
    )


def _directory(data: bytes) -> tuple[str, list[tuple[int, int, int, bytes]]]:
    """Return the byte order and the first directory: tag, type, count and value or offset each."""
    order = "<" if data[:2] == b"II" else ">"
    at = struct.unpack_from(f"{order}I", data, 4)[0]
    count = struct.unpack_from(f"{order}H", data, at)[0]
    return order, [
        struct.unpack_from(f"{order}HHI4s", data, at + 2 + 12 * entry) for entry in range(count)
    ]


def _number(order: str, kind: int, raw: bytes) -> int:
    """Return the first value of a tag of bytes, shorts or longs, if the entry holds it."""
    code = {1: "B", 3: "H", 4: "I"}.get(kind)
    return int(struct.unpack_from(f"{order}{code}", raw)[0]) if code else 0


def _orientation(exif: bytes) -> int:
    """Return the orientation of an EXIF block (a TIFF directory), or 0 if it has none."""
    try:
        order, entries = _directory(exif)
    except struct.error:
        return 0
    return next(
        (_upright(_number(order, kind, raw)) for tag, kind, _, raw in entries if tag == 274), 0
    )


def _upright(orientation: int) -> int:
    return orientation if 1 <= orientation <= 8 else 1


def _avif(data: bytes) -> Bare:
    found = heif_header.read(data, "AVIF")
    still = heif_header.without_tracks(data)
    return Bare("AVIF", still, found.width, found.height, found.orientation, found.largest)


def _heic(data: bytes) -> Bare:
    heic.check_installed()
    found = heif_header.read(data, "HEIC")
    # Its decoder cuts and turns it.
    size = found.cropped if found.orientation < 5 else found.cropped[::-1]
    return Bare("HEIC", heif_header.without_tracks(data), *size, 1, found.largest)


_UNWRAP: dict[str, Callable[[bytes], Bare]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "GIF": _gif,
    "BMP": _bmp,
    "TIFF": _tiff,
    "AVIF": _avif,
    "HEIC": _heic,
}
