"""Picture files of every kind, whole and damaged, each with what it must come to."""

import io
import re
import shutil
import struct
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, TiffImagePlugin

from tests.features.heic_file import HEIC
from tests.features.pictures import chunk, exif, save, scene

SIZE = (200, 150)
READ, REJECTED, EITHER = "read", "rejected", "either"
AV1 = ("-c:v", "libaom-av1", "-still-picture", "1", "-f", "avif", "-pix_fmt")
FFMPEG = {
    "JPEG 2000": ("-c:v", "libopenjpeg", "-f", "image2"),
    "JPEG XL": ("-c:v", "libjxl", "-f", "image2"),
    "AVIF 10 bit": (*AV1, "yuv420p10"), "AVIF 444": (*AV1, "yuv444p"),
    "AVIF 12 bit": (*AV1, "yuv444p12"),
    "AVIF SVT": ("-c:v", "libsvtav1", "-pix_fmt", "yuv420p", "-f", "avif"),
    "MP4": ("-c:v", "libx265", "-f", "mp4", "-movflags", "frag_keyframe+empty_moov"),
}  # fmt: skip


@dataclass(frozen=True)
class File:
    """One file of the zoo."""

    kind: str
    name: str
    data: bytes
    expected: str = READ
    """Whether it is read, rejected, or either: then equal to the oracle if it is read."""
    same: bytes = b""
    """Another file of the same picture, that Pillow reads."""


def base(mode="RGB"):
    """A scene with noise, in a mode of Pillow."""
    noise = np.random.default_rng(1).integers(-20, 20, (SIZE[1], SIZE[0], 3))
    picture = Image.fromarray(
        (np.asarray(scene(*SIZE)).astype(int) + noise).clip(0, 255).astype("u1")
    )
    if mode in ("RGBA", "LA"):
        picture = picture.convert(mode)
        picture.putalpha(Image.linear_gradient("L").resize(SIZE))
    return picture.quantize(64) if mode == "P" else picture.convert(mode)


def cuts(kind, name, data, expected=REJECTED):
    """The file, ending at ten places."""
    for share in (0.002, 0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 0.99):
        yield File(kind, f"{name} cut at {share}", data[: int(len(data) * share)], expected)


def jpegs():
    for mode, progressive, quality in product(("RGB", "L", "CMYK"), (False, True), (10, 75, 98)):
        data = save(base(mode), "JPEG", progressive=progressive, quality=quality)
        yield File("JPEG", f"{mode} {progressive} {quality}", data)
    for subsampling, optimize in product(("4:4:4", "4:2:2", "4:2:0"), (False, True)):
        data = save(base(), "JPEG", subsampling=subsampling, optimize=optimize)
        yield File("JPEG", f"{subsampling} {optimize}", data)
    for rows in (1, 4):
        yield File("JPEG", f"restart {rows}", save(base(), "JPEG", restart_marker_rows=rows))
    yield File("JPEG", "RGB components", save(base(), "JPEG", keep_rgb=True))
    for turned, order in product(range(1, 9), "<>"):
        block = b"Exif\0\0" + exif(turned, order=order)
        yield File("JPEG", f"EXIF {turned}{order}", save(base(), "JPEG", exif=block))
    data = save(base(), "JPEG")
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    yield File("JPEG", "XMP", save(base(), "JPEG", xmp=xmp))
    yield File("JPEG", "MPO", save(base(), "MPO", save_all=True, append_images=[base("L")]))
    for stray in (b"\0" * 4, b"text", b"\xff" * 9):
        yield File("JPEG", f"stray {stray[:2]}", data[:20] + stray + data[20:])
    for tail in (b"\0" * 999, b"ftypmp42" * 99, data):
        yield File("JPEG", f"tail {tail[:2]}", data + tail)
    yield File("JPEG", "no end", data[:-2], EITHER)
    arithmetic = data.replace(b"\xff\xc0", b"\xff\xc9", 1)
    yield File("JPEG", "arithmetic header", arithmetic, EITHER)
    yield from cuts("JPEG", "baseline", data)
    yield from cuts("JPEG", "progressive", save(base(), "JPEG", progressive=True))
    for options in ({}, {"progressive": True}, {"restart_marker_rows": 1}):
        whole = save(base(), "JPEG", **options)
        begin = whole.index(b"\xff\xda") + 14
        for share in (0, 0.03, 0.1, 0.2):
            end = begin + int((len(whole) - begin) * share)
            shortened = whole[:end].rstrip(b"\xff") + b"\xff\xd9"
            yield File("JPEG", f"{options} of {share} of its data", shortened, REJECTED)
    for width, height in (
        (8192, 6144),
        (9248, 6936),
        (12000, 9000),
        (16320, 12240),
        (65500, 65500),
    ):
        at = data.index(b"\xff\xc0") + 5
        header = data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]
        yield File("JPEG", f"{width} x {height} by its header", header, EITHER)


def png_of(colour, depth, interlace, extra=b""):
    """A PNG by hand: noise of any colour type and depth."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    width, height = 37, 29
    rng = np.random.default_rng(depth)
    passes = [(0, 0, 1, 1)]
    if interlace:
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4),
                  (1, 0, 2, 2), (0, 1, 1, 2)]  # fmt: skip
    rows = b""
    for x, y, dx, dy in passes:
        across, down = -(-(width - x) // dx), -(-(height - y) // dy)
        size = (across * channels * depth + 7) // 8
        rows += b"".join(b"\0" + rng.bytes(size) for _ in range(down))
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace)
    palette = chunk(b"PLTE", rng.bytes(3 * 2**depth)) if colour == 3 else b""
    parts = (chunk(b"IHDR", head), palette, extra, chunk(b"IDAT", zlib.compress(rows)))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def pngs():
    depths = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    for colour, interlace in product(depths, (0, 1)):
        for depth in depths[colour]:
            yield File("PNG", f"{colour} {depth} {interlace}", png_of(colour, depth, interlace))
    for colour, depth, clear in ((0, 8, b"\0\x30"), (2, 8, b"\0\1\0\2\0\3"), (3, 8, b"\0\x80\xff")):
        data = png_of(colour, depth, 0, chunk(b"tRNS", clear))
        yield File("PNG", f"tRNS {colour}", data)
    for turned in range(1, 9):
        yield File("PNG", f"EXIF {turned}", save(base(), "PNG", exif=exif(turned)))
    data = save(base(), "PNG")
    yield File("PNG", "APNG", save(base(), "PNG", save_all=True, append_images=[base("L")] * 3))
    yield File("PNG", "iCCP", save(base(), "PNG", icc_profile=b"no profile" * 20))
    yield File("PNG", "text", data[:33] + chunk(b"tEXt", b"a\0b" * 999) + data[33:])
    at = data.index(b"IDAT") + 40
    yield File("PNG", "bad CRC", data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :], REJECTED)
    yield File("PNG", "tail", data + b"\0" * 99)
    yield from cuts("PNG", "", data)
    for side in (8_000, 60_000):
        header = data[:16] + struct.pack(">II", side, side) + data[24:]
        yield File("PNG", f"{side} by its header", header, REJECTED)


def gifs():
    for colours in (2, 4, 16, 64, 256):
        yield File("GIF", f"{colours} colours", save(base().quantize(colours), "GIF"))
    yield File("GIF", "interlaced", save(base("P"), "GIF", interlace=1))
    plain = save(base("P"), "GIF")
    yield File("GIF", "87a", b"GIF87a" + plain[6:])
    yield File("GIF", "transparent", save(base("P"), "GIF", transparency=3))
    others = [base().rotate(turn).quantize(64) for turn in (90, 180)]
    for disposal in (0, 1, 2, 3):
        data = save(base("P"), "GIF", save_all=True, append_images=others, disposal=disposal)
        yield File("GIF", f"animated {disposal}", data)
    yield File("GIF", "comment", save(base("P"), "GIF", comment=b"x" * 999))
    yield from cuts("GIF", "", plain)


def bmp_of(bits, header, *, masks=None, compression=0, flip=False):
    """A BMP by hand: noise of any depth, header and bit fields."""
    width, height = 37, 29
    rng = np.random.default_rng(bits)
    colours = rng.bytes(2**bits * (3 if header == 12 else 4)) if bits <= 8 else b""
    pixels = rng.bytes((width * bits + 31) // 32 * 4 * height)
    fields = b"".join(struct.pack("<I", mask) for mask in masks or ())
    down = -height if flip else height
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, down, 1, bits, compression,
                           len(pixels), 0, 0, len(colours) // 4, 0)  # fmt: skip
        inside = fields[: header - 40]
        info += inside + bytes(header - 40 - len(inside))
        fields = fields[len(inside) :]
    at = 14 + len(info) + len(fields) + len(colours)
    head = b"BM" + struct.pack("<IHHI", at + len(pixels), 0, 0, at)
    return head + info + fields + colours + pixels


FIELDS = {
    "555": (16, (0x7C00, 0x3E0, 0x1F)), "565": (16, (0xF800, 0x7E0, 0x1F)),
    "444": (16, (0xF00, 0xF0, 0xF)), "888": (32, (0xFF0000, 0xFF00, 0xFF)),
    "BGR": (32, (0xFF, 0xFF00, 0xFF0000)), "high": (32, (0xFF000000, 0xFF0000, 0xFF00)),
    "10 bit": (32, (0x3FF00000, 0xFFC00, 0x3FF)), "mixed": (32, (0xE00, 0xFF0000, 0x3F)),
}  # fmt: skip


def plain(bmp, masks):
    """The picture of a BMP of bit fields as a PNG, by the definition."""
    at, width, height = (struct.unpack_from("<I", bmp, place)[0] for place in (10, 18, 22))
    bits = struct.unpack_from("<H", bmp, 28)[0]
    rows = np.frombuffer(bmp, np.uint8, offset=at).reshape(height, -1)[:, : width * bits // 8]
    pixels = rows.view(f"<u{bits // 8}")[::-1].astype(np.int64)
    colours = [(pixels & mask) / mask * 255 for mask in masks]
    return save(Image.fromarray(np.stack(colours, axis=-1).round().astype(np.uint8)), "PNG")


def bmps():
    for bits, header in product((1, 4, 8, 16, 24, 32), (12, 40, 52, 56, 64, 108, 124)):
        if header != 12 or bits in (1, 4, 8, 24):
            yield File("BMP", f"{bits} bits, header {header}", bmp_of(bits, header), EITHER)
    for bits in (1, 4, 8, 24, 32):
        yield File("BMP", f"{bits} bits from the top", bmp_of(bits, 40, flip=True))
    for (name, (bits, masks)), header in product(FIELDS.items(), (40, 56, 108, 124)):
        data = bmp_of(bits, header, masks=masks, compression=3)
        yield File("BMP", f"fields {name}, header {header}", data, same=plain(data, masks))
    yield File("BMP", "RLE 8", rle_bmp())
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield File("BMP", mode, save(base(mode), "BMP"))
    yield from cuts("BMP", "", save(base(), "BMP"))


def rle_bmp():
    """Rows of runs, in 8 bits."""
    runs = (
        b"".join(bytes((5, row * 8 % 256, 5, 255 - row)) + b"\0\0" for row in range(20)) + b"\0\1"
    )
    colours = b"".join(bytes((grey, grey, grey, 0)) for grey in range(256))
    info = struct.pack("<IiiHHIIiiII", 40, 10, 20, 1, 8, 1, len(runs), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 1078 + len(runs), 0, 0, 1078) + info + colours + runs


def tiffs():
    codecs = ("raw", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "jpeg", "zstd",
              "lzma", "webp")  # fmt: skip
    for codec, mode in product(codecs, ("RGB", "L", "RGBA", "CMYK", "P", "1", "LA")):
        try:
            data = save(base(mode), "TIFF", compression=None if codec == "raw" else codec)
        except (OSError, ValueError):
            continue
        yield File("TIFF", f"{codec} {mode}", data, EITHER if codec == "webp" else READ)
    for codec in ("group3", "group4", "tiff_ccitt"):
        yield File("TIFF", codec, save(base("1"), "TIFF", compression=codec))
    deep = Image.fromarray(np.arange(30_000, dtype=np.uint16).reshape(150, 200))
    yield File("TIFF", "16 bit", save(deep, "TIFF"))
    yield File("TIFF", "float", save(base("F"), "TIFF"), REJECTED)
    yield File("TIFF", "32 bit", save(base("I"), "TIFF"), REJECTED)
    for turned in range(1, 9):
        yield File("TIFF", f"turned {turned}", save(base(), "TIFF", tiffinfo={274: turned}))
    pages = save(base(), "TIFF", save_all=True, append_images=[base("L"), base("1")])
    yield File("TIFF", "pages", pages)
    yield File("TIFF", "big", save(base(), "TIFF", big_tiff=True), REJECTED)
    for rows in (1, 7, 150):
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[278] = rows
        data = save(base(), "TIFF", compression="tiff_lzw", tiffinfo=info)
        yield File("TIFF", f"strips of {rows}", data)
    yield from cuts("TIFF", "", save(base(), "TIFF", compression="tiff_lzw"))


def webps_and_avifs(samplings=("4:0:0", "4:2:0", "4:2:2", "4:4:4")):
    for mode, lossless, quality in product(("RGB", "RGBA", "L"), (False, True), (10, 90)):
        data = save(base(mode), "WEBP", lossless=lossless, quality=quality)
        yield File("WEBP", f"{mode} {lossless} {quality}", data)
    for mode, sampling, quality in product(("RGB", "RGBA", "L"), samplings, (30, 90)):
        data = save(base(mode), "AVIF", subsampling=sampling, quality=quality, speed=10)
        yield File("AVIF", f"{mode} {sampling} {quality}", data)
    others = [base().rotate(180), base("L")]
    for kind in ("WEBP", "AVIF"):
        for turned in range(1, 9):
            yield File(kind, f"EXIF {turned}", save(base(), kind, exif=exif(turned), speed=10))
        data = save(base(), kind, save_all=True, append_images=others, speed=10)
        yield File(kind, "animated", data)
        yield from cuts(kind, "", save(base(), kind, speed=10))
        yield from cuts(kind, "animated", data)


def others():
    """HEIC, and what is no picture of a kind that is read."""
    heic = READ if find_spec("pillow_heif") else REJECTED
    yield File("HEIC", "", HEIC, heic)
    yield from cuts("HEIC", "", HEIC)
    for kind in ("ICO", "TGA", "PPM", "PCX", "SGI", "DDS", "ICNS", "JPEG2000", "PDF", "EPS", "QOI"):
        yield File("other", kind, save(base("RGB"), kind), REJECTED)
    for name, data in {
        "nothing": b"", "text": b"no picture " * 9, "zeros": bytes(999), "SVG": b"<svg/>",
        "XML": b"<?xml version='1.0'?>", "PSD": b"8BPS\0\1" + bytes(99),
        "ZIP": b"PK\3\4" + bytes(99),
        "WAV": b"RIFF\0\0\0\0WAVEfmt ", "MP3": b"ID3\4" + bytes(99), "JSON": b'{"image": "x"}',
        "data": b"data:image/png;base64,AAAA", "noise": np.random.default_rng(0).bytes(9_999),
    }.items():  # fmt: skip
        yield File("other", name, data, REJECTED)


def by_ffmpeg():
    """Files of ffmpeg, where it is installed."""
    program = shutil.which("ffmpeg")
    for name, options in FFMPEG.items() if program else ():
        made = _by_ffmpeg(program, options)
        if made:
            yield File("by ffmpeg", name, made, READ if "AVIF" in name else REJECTED)


def _by_ffmpeg(program, options):
    """A file that ffmpeg makes of the scene; nothing without the encoder."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "a.png"), Path(folder, "b.out")
        source.write_bytes(save(base(), "PNG"))
        command = [program, "-v", "quiet", "-i", source, "-frames:v", "1", *options, target]
        subprocess.run(command, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return target.read_bytes() if target.exists() else b""


def oracle(file, height, width):
    """What Pillow alone makes of a file: upright, on white, RGB, all of it; None if it cannot."""
    if file.kind == "HEIC":
        turned = Image.fromarray(np.rot90(np.asarray(scene()), -1))
        return np.asarray(turned.resize((width, height)))
    try:
        with Image.open(io.BytesIO(file.same or file.data)) as image:
            image.seek(0)
            if image.width * image.height > 10**7:  # what a header says, too much to hold whole
                image.draft("RGB", (2 * width, 2 * height))
            upright = ImageOps.exif_transpose(image)
            upright.load()
    except Exception:  # noqa: BLE001 whatever Pillow says of a damaged file
        return None
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    if upright.has_transparency_data:
        upright = upright.convert("RGBA")
        white = Image.new("RGBA", upright.size, "white")
        upright = Image.alpha_composite(white, upright)
    return np.asarray(upright.convert("RGB").resize((width, height), Image.Resampling.BILINEAR))


def everything():
    """All files."""
    made = [*plain_kinds(), *webps_and_avifs(), *by_ffmpeg()]
    return [file for file in made if file.data or file.name == "nothing"]


def plain_kinds():
    """All that is made in little time."""
    return [file for make in (jpegs, pngs, gifs, bmps, tiffs, others) for file in make()]


def short():
    """One file of each sort: names that differ in numbers only are one sort."""
    made = [*plain_kinds(), *webps_and_avifs(("4:2:0",))]
    return list({(file.kind, re.sub(r"[\d.]+", "", file.name)): file for file in made}.values())
