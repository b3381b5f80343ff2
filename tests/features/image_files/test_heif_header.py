"""Size, orientation and bounds of AVIF and HEIC are read from their boxes."""

import struct

import pytest
from PIL import Image

from common.errors import InputError, Unprocessable, UnsupportedMedia
from features.image_files.heif_header import MAX_BOXES, brand_kind, read, without_tracks
from tests.features.heic_file import HEIC
from tests.features.pictures import exif, save, scene


def avif(picture=None, **options):
    return save(picture or scene(), "AVIF", **options)


def sequence():
    return avif(save_all=True, append_images=[scene().rotate(180)] * 2)


def box(name, content=b""):
    return struct.pack(">I4s", 8 + len(content), name) + content


def with_size(data, width, height):
    """The file with another size in its boxes."""
    at = data.index(b"ispe") + 8
    return data[:at] + struct.pack(">II", width, height) + data[at + 8 :]


def test_the_kind_is_told_by_the_brands():
    assert (brand_kind(avif()), brand_kind(sequence()), brand_kind(HEIC)) == (
        "AVIF", "AVIF", "HEIC",
    )  # fmt: skip
    assert brand_kind(HEIC.replace(b"ftypheic", b"ftypmif1")) == "HEIC"
    for data in (b"", b"\0\0\0\x1cftyp", box(b"ftyp", b"isom\0\0\0\0mp42avc1"), b"RIFF"):
        assert not brand_kind(data)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_turn_of_the_boxes_is_told_as_exif_counts_it(orientation):
    found = read(avif(exif=exif(orientation)), "AVIF")
    assert (found.width, found.height, found.orientation) == (64, 48, orientation)


def test_heic_has_the_size_of_its_clean_aperture():
    found = read(HEIC, "HEIC")
    assert (found.width, found.height, found.orientation) == (64, 64, 6)
    assert (found.cropped, found.largest) == ((64, 48), 64 * 64)


@pytest.mark.parametrize("make", [avif, lambda: avif(scene().convert("RGBA")), sequence])
def test_the_data_counts_and_not_what_the_boxes_say_of_it(make):
    assert read(with_size(make(), 8, 8), "AVIF").largest >= 64 * 48
    assert read(with_size(make(), 800, 900), "AVIF").largest == 800 * 900


def test_a_small_box_before_large_data_is_seen():
    large = avif(Image.new("RGB", (2_000, 1_500)))
    assert read(with_size(large, 64, 48), "AVIF").largest == 2_000 * 1_500


def test_a_grid_counts_with_the_size_that_it_is_put_together_to():
    cells = struct.pack(">4B", 0, 0, 0, 0) + struct.pack(">HH", 9_000, 8_000)
    data = avif()
    content = data.index(b"mdat") + 4
    data = data[:content] + cells + data[content + len(cells) :]
    assert read(data.replace(b"av01", b"grid", 1), "AVIF").largest == 9_000 * 8_000


def test_no_decoder_finds_the_sequence_beside_the_still_picture():
    data = sequence()
    still = without_tracks(data)
    assert len(still) == len(data)
    assert b"avis" not in still[:40]
    assert b"moov" not in still
    assert without_tracks(avif()) == avif()


@pytest.mark.parametrize("make", [avif, sequence, lambda: HEIC])
def test_a_file_that_ends_anywhere_is_rejected(make):
    data = make()
    for length in range(12, len(data)):
        with pytest.raises(InputError):
            read(data[:length], brand_kind(data))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data.replace(b"meta", b"free"), "without a still picture"),
        (lambda data: data + box(b"meta", b"\0\0\0\0"), "without a still picture"),
        (lambda data: data.replace(b"ispe", b"free"), "does not state its size"),
        (lambda data: data + struct.pack(">I4s", 4, b"free"), "smaller than its header"),
        (lambda data: data + struct.pack(">I4s", 99, b"free"), "ends 91 bytes after"),
    ],
)
def test_boxes_that_make_no_sense_are_rejected(spoil, words):
    with pytest.raises(InputError, match=words):
        read(spoil(avif()), "AVIF")


def test_another_codec_is_named():
    with pytest.raises(UnsupportedMedia, match="holds 'vvc1'"):
        read(avif().replace(b"av01", b"vvc1", 1), "AVIF")


def test_boxes_are_bounded():
    data = avif()
    count = 3
    assert read(data + box(b"free") * (MAX_BOXES - count), "AVIF").width == 64
    with pytest.raises(Unprocessable, match=f"more than {MAX_BOXES} boxes"):
        read(data + box(b"free") * MAX_BOXES, "AVIF")
