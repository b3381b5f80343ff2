"""What a header says is known before anything is decoded, and what is no pixel is gone."""

import io
import struct
import zlib

import pytest
from PIL import Image

from common.errors import InputError, Unprocessable, UnsupportedMedia
from features.image_files.image_header import MAX_PARTS, MAX_SCANS, sniff, unwrap
from tests.features.pictures import FILES, chunk, exif, png, save, scene, tiff


@pytest.mark.parametrize("name", FILES)
def test_kind_and_size_are_read_from_the_header(name):
    bare = unwrap(FILES[name]())
    assert (bare.kind, bare.width, bare.height, bare.orientation) == (name.split()[0], 64, 48, 1)


@pytest.mark.parametrize("kind", ["BMP", "GIF", "PNG", "TIFF", "WEBP", "JPEG", "AVIF"])
def test_odd_sizes_are_read_to_the_pixel(kind):
    bare = unwrap(save(scene(301, 257), kind))
    assert (bare.width, bare.height) == (301, 257)


def test_a_picture_with_transparency_has_the_size_of_its_canvas():
    bare = unwrap(save(scene(33, 21).convert("RGBA"), "WEBP", exif=exif(1)))
    assert (bare.width, bare.height) == (33, 21)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_the_orientation_is_read(kind, orientation):
    if kind == "TIFF":
        data = save(scene(), kind, tiffinfo={274: orientation})
    else:
        prefix = b"Exif\0\0" if kind == "JPEG" else b""
        data = save(scene(), kind, exif=prefix + exif(orientation, order="<>"[orientation % 2]))
    assert unwrap(data).orientation == orientation


@pytest.mark.parametrize(
    "block", [b"", b"II*\0", exif(0), exif(9), exif(6)[:-9], b"II*\0\xff\xff\xff\xff"]
)
def test_exif_that_makes_no_sense_means_upright(block):
    assert unwrap(save(scene(), "PNG", exif=block or b"-")).orientation == 1


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\n <!DOCTYPE html><html></html>", "HTML"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x1cftypisom", "MP4"),
        (b"RIFF\0\0\0\0AVI fmt ", "WebP"),
        (b"LaCf", "JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF"),
        (b"II\x2b\0\x08\0\0\0", "BigTIFF is not"),
        (b"MM\0\x2b\0\x08\0\0", "BigTIFF is not"),
        (b"\xff\xd8", "JPEG"),
        (b"BLP2", "JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "JPEG"),
    ],
)
def test_what_is_no_picture_is_rejected_with_a_hint(data, words):
    with pytest.raises(UnsupportedMedia, match=words):
        sniff(data)


def test_nothing_is_not_a_picture():
    with pytest.raises(InputError, match="empty"):
        sniff(b"")


def test_comments_profiles_and_further_pictures_are_taken_out():
    jpeg = save(scene(), "JPEG", comment=b"secret", exif=b"Exif\0\0" + exif(3) + b"secret")
    frames = [scene().rotate(90 * turn).quantize(8) for turn in range(1, 4)]
    gif = save(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"secret")
    text = png(
        1, 1, pixels=b"\0\0\0\0", extra=chunk(b"zTXt", b"secret") + chunk(b"iCCP", b"secret")
    )
    pages = save(scene(), "TIFF", save_all=True, append_images=[scene()], description="secret")
    for data in (jpeg, gif, text):
        bare = unwrap(data)
        assert b"secret" in data
        assert b"secret" not in bare.data
        assert len(bare.data) < len(data)
    with Image.open(io.BytesIO(unwrap(pages).data)) as image:
        assert image.n_frames == 1
        assert 270 not in image.tag_v2


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_ends_early_is_rejected_or_keeps_its_size(name):
    data = FILES[name]()
    for length in range(9, len(data), 7):
        try:
            bare = unwrap(data[:length])
        except InputError:
            continue
        assert (bare.width, bare.height) == (64, 48)


def test_a_png_or_webp_that_ends_early_says_so():
    for data in (FILES["PNG"](), FILES["WEBP"]()):
        with pytest.raises(InputError, match="truncated"):
            unwrap(data[:-1])
    with pytest.raises(InputError, match="ends in its header"):
        unwrap(FILES["PNG"]()[:-12])


def test_fill_bytes_of_a_jpeg_are_bounded():
    data = save(scene(), "JPEG")
    assert unwrap(data[:2] + b"\xff" * MAX_PARTS + data[2:]).kind == "JPEG"
    with pytest.raises(Unprocessable, match=f"more than {MAX_PARTS} parts"):
        unwrap(data[:2] + b"\xff" * (MAX_PARTS + 1) + data[2:])


def test_blocks_of_all_extensions_of_a_gif_are_counted_together():
    data = save(scene().quantize(4), "GIF")
    begin = 13 + 3 * 4
    extension = b"\x21\xfe" + b"\1-" * 49_999 + b"\0"
    assert unwrap(data[:begin] + 2 * extension + data[begin:]).kind == "GIF"
    with pytest.raises(Unprocessable, match=f"more than {MAX_PARTS} parts"):
        unwrap(data[:begin] + 3 * extension + data[begin:])


def test_scans_of_a_jpeg_are_bounded():
    data = save(scene(), "JPEG")
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"
    assert unwrap(data + scan * (MAX_SCANS - 1)).kind == "JPEG"
    with pytest.raises(Unprocessable, match=f"more than {MAX_SCANS} scans"):
        unwrap(data + scan * MAX_SCANS)


@pytest.mark.parametrize(
    ("kind", "head", "part", "tail"),
    [
        ("PNG", png(1, 1)[:33], chunk(b"tEXt", b""), chunk(b"IEND", b"")),
        ("JPEG", b"\xff\xd8", b"\xff\xfe\0\2", save(scene(), "JPEG")[2:]),
        (
            "GIF",
            b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"\x21\xfe",
            b"\1-",
            save(scene(), "GIF")[800:],
        ),
    ],
)
def test_files_of_very_many_parts_are_rejected(kind, head, part, tail):
    with pytest.raises(Unprocessable, match=f"a {kind} file of more than {MAX_PARTS} parts"):
        unwrap(head + part * (MAX_PARTS + 2) + tail)
    if kind != "GIF":
        assert unwrap(head + part * (MAX_PARTS - 100) + tail).kind == kind


SIZE = [(256, 3, 1, 4), (257, 3, 1, 4)]


def test_tags_that_share_the_bytes_of_a_tiff_are_rejected():
    body = b"\0" * 100_000
    assert unwrap(tiff([*SIZE, (700, 1, 99_000, 8)], body)).width == 4
    with pytest.raises(InputError, match="the tags of the TIFF file speak of"):
        unwrap(tiff([*SIZE, *((tag, 1, 99_000, 8) for tag in range(700, 702))], body))


def test_a_tiff_of_giant_tiles_is_rejected():
    assert unwrap(tiff([*SIZE, (322, 4, 1, 2_048), (323, 4, 1, 2_048)])).width == 4
    with pytest.raises(Unprocessable, match="tiles of"):
        unwrap(tiff([*SIZE, (322, 4, 1, 2_048), (323, 4, 1, 2_049)]))


def test_strips_of_a_tiff_are_bounded():
    body = b"\0" * 4 * (MAX_PARTS + 1)
    assert unwrap(tiff([*SIZE, (273, 4, MAX_PARTS, 8)], body)).width == 4
    with pytest.raises(Unprocessable, match="parts"):
        unwrap(tiff([*SIZE, (273, 4, MAX_PARTS + 1, 8)], body))


def test_a_jpeg_without_a_frame_and_a_gif_without_a_picture_are_rejected():
    with pytest.raises(InputError, match="without a frame"):
        unwrap(b"\xff\xd8\xff\xda\0\2")
    with pytest.raises(InputError, match="without a picture"):
        unwrap(b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b";")
    with pytest.raises(InputError, match="no marker"):
        unwrap(b"\xff\xd8\xff\xe0\0\2nothing")


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'
ELEMENT = b"<x:xmpmeta><tiff:Orientation>%d</tiff:Orientation></x:xmpmeta>"


def in_png(name, content):
    data = save(scene(), "PNG")
    length = struct.pack(">I", len(content))
    return data[:33] + length + name + content + bytes(4) + data[33:]


def hexadecimal(block):
    digits = block.hex().encode()
    lines = b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72))
    return b"\nexif\n%8d\n" % len(block) + lines + b"\n"


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
@pytest.mark.parametrize("packet", [XMP, ELEMENT])
def test_the_orientation_of_xmp_is_followed(turned, packet):
    segment = b"http://ns.adobe.com/xap/1.0/\0" + packet % turned
    jpeg, webp = save(scene(), "JPEG"), save(scene(), "WEBP", xmp=packet % turned)
    app1 = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    text = b"XML:com.adobe.xmp" + bytes(5) + packet % turned
    for data in (jpeg[:2] + app1 + jpeg[2:], webp, in_png(b"iTXt", text)):
        assert unwrap(data).orientation == turned


@pytest.mark.parametrize("turned", [1, 3, 6, 8])
def test_the_exif_text_that_imagemagick_writes_into_png_is_followed(turned):
    text = hexadecimal(b"Exif\0\0" + exif(turned))
    for name, content in (
        (b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text)),
        (b"tEXt", b"Raw profile type APP1\0" + text),
    ):
        assert unwrap(in_png(name, content)).orientation == turned


def test_exif_counts_before_xmp_and_what_is_no_orientation_is_upright():
    jpeg = save(scene(), "JPEG", exif=b"Exif\0\0" + exif(6), xmp=XMP % 3)
    assert unwrap(jpeg).orientation == 6
    for text in (b"junk", zlib.compress(b"zz")):
        assert unwrap(in_png(b"zTXt", b"Raw profile type exif\0\0" + text)).orientation == 1
    assert unwrap(in_png(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP % 9)).orientation == 1
