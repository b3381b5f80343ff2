"""Pictures of every format are decoded; invalid files are rejected within bounded memory."""

import io
import pickle
import struct
import subprocess
import sys
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from common.errors import InputError, Late, TooLarge, Unprocessable
from features.config import Metadata, PictureConfig
from features.picture import HIGHEST_MAX_PIXELS, MAX_ASPECT, decode, tensor, thumbnail
from tests.features.pictures import FILES, chunk, exif, png, save, scene, tiff

ROOT = Path(__file__).parents[2]
SAME = PictureConfig(height=48, width=64)
SMALL = PictureConfig(height=24, width=32)


def distance(one, other):
    return np.abs(np.asarray(one).astype(int) - np.asarray(other)).max()


@pytest.mark.parametrize("name", FILES)
def test_every_kind_shows_the_same_scene(name):
    pixels = decode(FILES[name](), SAME)
    assert (pixels.dtype, pixels.shape) == (np.uint8, (48, 64, 3))
    exact = name.split()[0] in {"BMP", "TIFF", "PNG"} or "lossless" in name
    assert np.abs(pixels.astype(int) - np.asarray(scene())).mean() <= (0 if exact else 8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
def test_a_picture_is_turned_upright(orientation, fit):
    config = PictureConfig(height=20, width=40, fit=fit)
    data = save(scene(), "PNG", exif=exif(orientation))
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    # The two passes of a resize round in another order.
    assert distance(decode(data, config), decode(save(upright, "PNG"), config)) <= 1


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda alpha: Image.merge("RGBA", [*scene().split(), alpha]), "PNG"),
        (lambda alpha: Image.merge("RGBA", [*scene().split(), alpha]), "WEBP"),
        (lambda alpha: Image.merge("RGBA", [*scene().split(), alpha]), "TIFF"),
        (lambda alpha: Image.merge("RGBA", [*scene().split(), alpha]), "AVIF"),
        (lambda alpha: Image.merge("LA", [scene().convert("L"), alpha]), "PNG"),
        (lambda alpha: Image.merge("RGBA", [*scene().split(), alpha]), "GIF"),
        (lambda alpha: Image.merge("RGBA", [*scene().split(), alpha]).quantize(), "PNG"),
    ],
)
def test_what_is_transparent_is_white(make, kind):
    alpha = Image.new("L", (64, 48), 255)
    alpha.paste(0, (0, 0, 32, 48))
    options = {"WEBP": {"lossless": True}, "AVIF": {"quality": 100}}.get(kind, {})
    pixels = decode(save(make(alpha), kind, **options), SAME)
    assert (pixels[:, :31] == 255).all()
    assert (pixels[:, 33:] < 250).any(axis=2).all()


def test_a_transparent_colour_of_a_picture_without_alpha_is_white():
    picture = Image.new("RGB", (8, 8), (10, 20, 30))
    picture.paste((200, 0, 0), (0, 0, 4, 8))
    pixels = decode(
        save(picture, "PNG", transparency=(200, 0, 0)), PictureConfig(height=8, width=8)
    )
    assert (pixels[:, :4] == 255).all()
    assert (pixels[:, 4:] == (10, 20, 30)).all()


@pytest.mark.parametrize(
    ("mode", "kind"), [("L", "PNG"), ("1", "PNG"), ("L", "JPEG"), ("1", "TIFF"), ("L", "BMP")]
)
def test_grey_becomes_three_equal_colours(mode, kind):
    pixels = decode(save(scene().convert(mode), kind), SAME)
    expected = np.asarray(scene().convert(mode).convert("RGB"))
    assert distance(pixels, expected) <= (8 if kind == "JPEG" else 0)
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_is_the_same_as_colours_that_are_equal(fit, mode):
    config = PictureConfig(height=24, width=32, fit=fit, resample="bicubic")
    grey = scene(301, 257).convert("L")
    if mode == "LA":
        grey.putalpha(scene(301, 257).getchannel(0))
    coloured = grey.convert("RGBA" if mode == "LA" else "RGB")
    np.testing.assert_array_equal(
        decode(save(grey, "PNG"), config), decode(save(coloured, "PNG"), config)
    )


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_the_upper_eight(kind):
    deep = (np.arange(48 * 64, dtype=np.uint16) * 21).reshape(48, 64)
    pixels = decode(save(Image.fromarray(deep), kind), SAME)
    np.testing.assert_array_equal(pixels, np.repeat((deep >> 8)[..., None], 3, axis=2))


def test_sixteen_bit_colours_keep_the_upper_eight():
    rows = np.random.default_rng(0).integers(0, 2**16, (6, 8, 3)).astype(">u2")
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    pixels = decode(png(8, 6, pixels=body, depth=16), PictureConfig(height=6, width=8))
    np.testing.assert_array_equal(pixels, rows >> 8)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_becomes_rgb(kind):
    pixels = decode(save(scene().convert("CMYK"), kind), SAME)
    assert np.abs(pixels.astype(int) - np.asarray(scene())).mean() < 4


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_that_are_no_colours_are_rejected(dtype):
    data = save(Image.fromarray(np.zeros((4, 4), dtype)), "TIFF")
    with pytest.raises(Unprocessable, match="32-bit"):
        decode(data, SMALL)


def test_a_gif_shows_its_first_picture():
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue", "green")]
    for kind in ("GIF", "PNG", "WEBP", "TIFF"):
        data = save(frames[0], kind, save_all=True, append_images=frames[1:])
        np.testing.assert_allclose(decode(data, SMALL)[12, 16], (255, 0, 0), atol=6)


def test_squash_keeps_the_corners_and_crop_cuts_them_off():
    picture = Image.new("RGB", (90, 30), "blue")
    picture.paste("red", (30, 0, 60, 30))
    data, config = save(picture, "PNG"), PictureConfig(height=30, width=30, resample="box")
    assert (decode(data, config) == (255, 0, 0)).all()
    squashed = decode(data, replace(config, fit="squash"))
    np.testing.assert_array_equal(squashed[0, ::10], [(0, 0, 255), (255, 0, 0), (0, 0, 255)])
    padded = decode(data, replace(config, fit="pad"))
    assert (padded[:10] == 255).all()
    assert (padded[20:] == 255).all()
    np.testing.assert_array_equal(padded[15, ::10], [(0, 0, 255), (255, 0, 0), (0, 0, 255)])


@pytest.mark.parametrize("fit", ["squash", "crop", "pad"])
@pytest.mark.parametrize("size", [(1, 1), (1, MAX_ASPECT), (MAX_ASPECT, 1), (3, 2), (641, 479)])
def test_every_shape_fits(size, fit):
    config = PictureConfig(height=17, width=23, fit=fit)
    assert decode(save(Image.new("RGB", size, "white"), "PNG"), config).min() == 255


def test_a_large_jpeg_is_decoded_small_and_looks_the_same():
    large = scene(1_600, 1_200)
    config = PictureConfig(height=48, width=64)
    by_draft, in_full = (
        decode(save(large, "JPEG", quality=95), config),
        decode(save(large, "PNG"), config),
    )
    assert np.abs(by_draft.astype(int) - in_full).mean() < 1


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_rejected(name):
    data = FILES[name]()
    with pytest.raises(InputError):
        decode(data[: len(data) // 2], SAME)


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith(("JPEG", "GIF"))])
def test_an_end_that_is_missing_is_noticed(name):
    # The last bytes of these TIFF files are a directory that need not be there.
    with pytest.raises(InputError):
        decode(FILES[name]()[: -200 if name.startswith("TIFF") else -1], SAME)


@pytest.mark.parametrize(("name", "at"), [("PNG", 14), ("WEBP", 14), ("TIFF", 35), ("AVIF", 8)])
def test_the_error_of_a_damaged_header_is_the_same_every_time(name, at):
    data = bytearray(FILES[name]())
    data[at] ^= 0xFF
    with pytest.raises(InputError, match="damaged") as error:
        decode(bytes(data), SAME)
    assert " at 0x" not in str(error.value)


@settings(max_examples=200)
@given(name=st.sampled_from(sorted(FILES)), data=st.data())
def test_damage_is_rejected_or_decoded_and_never_crashes(name, data):
    content = bytearray(FILES[name]())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        pixels = decode(bytes(content), SMALL)
    except InputError:
        return
    assert pixels.shape == (24, 32, 3)


@given(
    content=st.binary(max_size=300),
    head=st.sampled_from([b"\xff\xd8\xff", b"GIF89a", b"BM", b"II*\0", b"MM\0*"]),
)
def test_noise_behind_a_good_beginning_is_rejected(content, head):
    with pytest.raises(InputError):
        decode(head + content, SMALL, max_pixels=100)


def test_pixels_are_counted_before_decoding_at_both_sides_of_the_bound():
    data = save(Image.new("RGB", (40, 25)), "PNG")
    assert decode(data, SMALL, max_pixels=1_000).shape == (24, 32, 3)
    with pytest.raises(TooLarge, match="40 x 25 = 1000 pixels: at most 999"):
        decode(data, SMALL, max_pixels=999)


def test_the_bound_cannot_be_lifted_beyond_what_the_decoder_takes():
    with pytest.raises(TooLarge, match=f"at most {HIGHEST_MAX_PIXELS}"):
        decode(png(10_000, 10_000), SMALL, max_pixels=10**12)


@pytest.mark.parametrize(
    "size", [(1, MAX_ASPECT + 1), (MAX_ASPECT + 1, 1), (1, 100_000), (100_000, 1)]
)
def test_a_sliver_is_rejected(size):
    with pytest.raises(Unprocessable, match="times the shorter"):
        decode(save(Image.new("L", size), "PNG"), SMALL)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_a_picture_without_pixels_is_rejected(size):
    with pytest.raises(Unprocessable, match="no pixels"):
        decode(png(*size), SMALL)
    with pytest.raises(Unprocessable, match="no pixels"):
        decode(tiff([(256, 3, 1, size[0]), (257, 3, 1, size[1])]), SMALL)


def with_size(avif, width, height):
    """An AVIF file with another size in its boxes than in its data."""
    at = avif.index(b"ispe") + 8
    return avif[:at] + struct.pack(">II", width, height) + avif[at + 8 :]


ZEROS = zlib.compress(b"\0" * 10_000_000, 9)
SIDE = 60_000
TILE = [(256, 3, 1, 64), (257, 3, 1, 64)]
WEBP = b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + b"\0" * 4
# Small files that would cost gigabytes, or minutes; one is made when its test asks for it.
BOMBS = {
    "png": lambda: png(SIDE, SIDE, pixels=b"\0" * 10_000_000),
    "png text": lambda: png(
        8, 8, pixels=b"\0" * 200,
        extra=b"".join(chunk(b"zTXt", b"a\0\0" + ZEROS) for _ in range(50)),
    ),
    "png profile": lambda: png(
        8, 8, pixels=b"\0" * 200, extra=chunk(b"iCCP", b"a\0\0" + ZEROS)
    ),
    "gif screen": lambda: b"GIF89a" + struct.pack("<HHBBB", 65_535, 65_535, 0, 0, 0)
    + save(Image.new("P", (1, 1)), "GIF")[13:],
    "webp canvas": lambda: WEBP + (SIDE - 1).to_bytes(3, "little") * 2,
    "bmp": lambda: b"BM" + bytes(12)
    + struct.pack("<IiiHHIIiiII", 40, SIDE, -SIDE, 1, 4, 2, 0, 0, 0, 0, 0),
    "jpeg": lambda: b"\xff\xd8\xff\xc0\0\x0b\x08" + struct.pack(">HH", SIDE, SIDE)
    + b"\1\1\x11\0\xff\xda\0\2",
    "avif": lambda: with_size(save(Image.new("L", (9_000, 9_000)), "AVIF", speed=10), 64, 48),
    "tiff": lambda: tiff([(256, 4, 1, SIDE), (257, 4, 1, SIDE)]),
    "tiff tags": lambda: tiff(
        [*TILE, *((tag, 1, 2_000_000, 8) for tag in range(700, 1_700))], bytes(2_000_000)
    ),
    "tiff tiles": lambda: tiff([*TILE, (322, 4, 1, SIDE), (323, 4, 1, SIDE)]),
    "exif tags": lambda: png(8, 8, pixels=b"\0" * 200, extra=chunk(
        b"eXIf", tiff([(tag, 1, 2_000_000, 8) for tag in range(700, 1_700)], bytes(2_000_000))
    )),
}  # fmt: skip


PEAK = """
import sys
from pathlib import Path
from common.errors import InputError
from features.config import PictureConfig
from features.picture import decode

def decoded(path):
    try:
        return decode(Path(path).read_bytes(), PictureConfig(height=24, width=32)).shape
    except InputError:
        return "rejected"

decoded(sys.argv[1])
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = int(Path("/proc/self/statm").read_text().split()[1]) * 4096
outcome = decoded(sys.argv[2])
peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
print((peak - before) / 2**20, outcome)
"""


def decoded_apart(data, *, kind, folder):
    """Decode a file in a process of its own; return the MiB it took and the shape or `rejected`."""
    (folder / "first").write_bytes(save(scene(), kind))
    (folder / "measured").write_bytes(data)
    command = [sys.executable, "-c", PEAK, folder / "first", folder / "measured"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    mib, _, outcome = printed.strip().partition(" ")
    return float(mib), outcome


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux' /proc")
@pytest.mark.parametrize(
    "name",
    [
        each if each in {"png", "jpeg", "tiff"} else pytest.param(each, marks=pytest.mark.slow)
        for each in BOMBS
    ],
)
def test_a_bomb_costs_no_memory(name, tmp_path):
    mib, outcome = decoded_apart(BOMBS[name](), kind="PNG", folder=tmp_path)
    harmless = name in {"png text", "png profile", "exif tags"}
    assert outcome == ("(24, 32, 3)" if harmless else "rejected")
    assert mib < 12


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux' /proc")
@pytest.mark.parametrize(
    ("kind", "mode"),
    [("AVIF", "RGBA"), ("AVIF", "RGB"), ("AVIF", "L"),
     ("WEBP", "RGBA"), ("WEBP", "RGB"), ("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"),
     ("JPEG", "CMYK"), ("BMP", "RGB"), ("TIFF", "RGBA"), ("GIF", "P")],
)  # fmt: skip
def test_decoding_takes_no_more_memory_than_is_documented(kind, mode, tmp_path):
    options = {"WEBP": {"lossless": True}, "AVIF": {"speed": 10}}
    data = save(Image.new(mode, (4_000, 2_000), 1), kind, **options.get(kind, {}))
    mib, outcome = decoded_apart(data, kind=kind, folder=tmp_path)
    assert outcome == "(24, 32, 3)"
    per_pixel = 16 if kind in ("WEBP", "AVIF") else 9
    assert mib < (8_000_000 * per_pixel + 2 * len(data)) / 2**20 + 6


def test_metadata_stands_behind_the_pixels():
    region = Metadata(name="region", values=("north", "south", "east"))
    season = Metadata(name="season", values=("dry", "wet"), required=False)
    config = replace(SMALL, metadata=(region, season))
    pixels = decode(FILES["PNG"](), config)
    assert config.shape == (24 * 32 * 3 + 5,)
    packed = tensor(pixels, config, {"season": "wet", "region": "south"})
    assert packed.dtype == np.uint8
    np.testing.assert_array_equal(packed[:-5].reshape(24, 32, 3), pixels)
    np.testing.assert_array_equal(packed[-5:], [0, 1, 0, 0, 1])
    np.testing.assert_array_equal(tensor(pixels, config, {"region": "east"})[-5:], [0, 0, 1, 0, 0])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "'region' is missing; it must be one of north, south"),
        ({"region": "west"}, "region='west' must be one of north, south"),
        ({"region": ""}, "region='' must be one of"),
        ({"region": "north", "colour": "red"}, "unknown metadata 'colour'; known: region"),
    ],
)
def test_metadata_is_held_against_the_values(given, words):
    config = replace(SMALL, metadata=(Metadata(name="region", values=("north", "south")),))
    with pytest.raises(Unprocessable, match=words):
        tensor(np.zeros((24, 32, 3), np.uint8), config, given)


def test_a_model_without_metadata_takes_none():
    pixels = np.zeros((24, 32, 3), np.uint8)
    assert tensor(pixels, SMALL) is pixels
    with pytest.raises(Unprocessable, match="known: none"):
        tensor(pixels, SMALL, {"region": "north"})


@pytest.mark.parametrize(
    ("size", "orientation", "small"),
    [((64, 48), 1, (40, 30)), ((64, 48), 6, (30, 40)), ((8, 4), 1, (8, 4))],
)
def test_a_thumbnail_shows_all_of_a_picture_and_never_enlarges_it(size, orientation, small):
    made = Image.open(
        io.BytesIO(thumbnail(save(scene(*size), "PNG", exif=exif(orientation)), side=40))
    )
    assert (made.format, made.size) == ("JPEG", small)


def test_a_thumbnail_of_a_bomb_is_rejected():
    with pytest.raises(TooLarge):
        thumbnail(png(60_000, 60_000), side=40)


FIRST = """
import pickle, sys
from features.config import PictureConfig
from features.picture import decode

plugins = lambda: {name for name in sys.modules if name.startswith("PIL.") and "Plugin" in name}
before = plugins()
for data in pickle.load(sys.stdin.buffer):
    decode(data, PictureConfig())
print(*(plugins() - before))
"""


def test_the_first_picture_of_a_kind_waits_for_no_plugin():
    files = pickle.dumps([make() for make in FILES.values()])
    answer = subprocess.run(
        [sys.executable, "-c", FIRST], input=files, capture_output=True, check=True, cwd=ROOT
    )
    # Pillow loads this one itself, whatever is asked for.
    assert set(answer.stdout.decode().split()) <= {"PIL.PpmImagePlugin"}


@pytest.mark.parametrize("name", FILES)
def test_decoding_ends_at_every_check_of_whether_somebody_waits(name):
    config = PictureConfig(height=32, width=32)
    calls = []
    decode(FILES[name](), config, check=lambda: calls.append(1))
    assert len(calls) >= 4
    for last in range(1, len(calls) + 1):
        calls.clear()

        def check(last=last):
            calls.append(1)
            if len(calls) == last:
                raise Late("nobody waits")

        with pytest.raises(Late, match="nobody waits"):
            decode(FILES[name](), config, check=check)
        assert len(calls) == last


def jpeg_of(width, height, **options):
    """A JPEG of one colour whose lower half is black."""
    picture = Image.new("L", (width, height), 200)
    picture.paste(0, (0, height // 2, width, height))
    return save(picture, "JPEG", **options)


@pytest.mark.parametrize(
    "size", [(8160, 6144), (8192, 6144), (9248, 6936), (12_000, 9_000), (16_320, 12_240)]
)
def test_pictures_of_telephones_are_reduced_while_they_are_decoded(size):
    pixels = decode(jpeg_of(*size), SMALL)
    assert pixels[:10].min() > 190
    assert pixels[-10:].max() < 10
    assert thumbnail(jpeg_of(*size), side=64).startswith(b"\xff\xd8")


def test_a_reduced_jpeg_has_a_bound_too_and_what_is_not_reduced_the_usual_one():
    wide, high = 800, 600
    stored = wide * high
    data, slow = jpeg_of(wide, high), jpeg_of(wide, high, progressive=True)
    assert decode(data, SMALL, max_pixels=stored // 4).shape == (24, 32, 3)
    with pytest.raises(TooLarge, match=f"800 x 600 = {stored} pixels: at most {stored - 4}"):
        decode(data, SMALL, max_pixels=stored // 4 - 1)
    assert decode(slow, SMALL, max_pixels=stored).shape == (24, 32, 3)
    with pytest.raises(TooLarge, match=f"at most {stored - 1}"):
        decode(slow, SMALL, max_pixels=stored - 1)
    large = PictureConfig(height=high, width=wide)
    with pytest.raises(TooLarge, match=f"at most {stored - 1}"):
        decode(data, large, max_pixels=stored - 1)


@pytest.mark.parametrize("stray", [b"\0" * 4, b"\xff\0\xff\0", b"text", b"\0" * 100_000])
@pytest.mark.parametrize("at", [20, 89])
def test_stray_bytes_between_the_segments_of_a_jpeg_are_passed_over(stray, at):
    good = jpeg_of(64, 48)
    assert np.array_equal(decode(good[:at] + stray + good[at:], SMALL), decode(good, SMALL))
