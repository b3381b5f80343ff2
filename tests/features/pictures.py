"""Picture files made for tests: of every kind, and those that mean harm."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def save(picture, kind, **options):
    """A Pillow picture as the bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def scene(width=64, height=48):
    """A smooth RGB picture without symmetry."""
    y, x = np.mgrid[:height, :width]
    channels = (255 * x / width, 255 * y / height, 255 * (1 - x / width) * (y / height))
    return Image.fromarray(np.stack(channels, axis=-1).astype(np.uint8))


def chunk(name, content):
    """A PNG chunk."""
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


def png(width, height, *, pixels=b"", extra=b"", depth=8, colour=2):
    """A PNG of any size by its header."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    parts = (
        chunk(b"IHDR", header),
        extra,
        chunk(b"IDAT", zlib.compress(pixels, 9)),
        chunk(b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif(orientation, *, order="<"):
    """An EXIF block that tells an orientation."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    return head + struct.pack(f"{order}IHHHIHHI", 8, 1, 274, 3, 1, orientation, 0, 0)


def tiff(entries, body=b""):
    """A little-endian TIFF with the (tag, type, count, value) entries, followed by `body`."""
    rows = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + rows + b"\0\0\0\0" + body


FILES = {
    "JPEG": lambda: save(scene(), "JPEG", quality=95),
    "JPEG progressive": lambda: save(scene(), "JPEG", quality=95, progressive=True),
    "PNG": lambda: save(scene(), "PNG"),
    "WEBP": lambda: save(scene(), "WEBP", quality=95),
    "WEBP lossless": lambda: save(scene(), "WEBP", lossless=True),
    "GIF": lambda: save(scene().quantize(64), "GIF"),
    "BMP": lambda: save(scene(), "BMP"),
    "TIFF": lambda: save(scene(), "TIFF"),
    "AVIF": lambda: save(scene(), "AVIF", quality=100, subsampling="4:4:4"),
    "TIFF deflate": lambda: save(scene(), "TIFF", compression="tiff_adobe_deflate"),
}
"""By name, what makes the same scene as a file of each kind."""
