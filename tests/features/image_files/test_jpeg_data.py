"""JPEG files that end early and say they do not; and whole ones that look as if they did."""

from itertools import product

import numpy as np
import pytest
from PIL import Image

from common.errors import InputError
from features.config import PictureConfig
from features.image_files import jpeg_data
from features.image_files.image_header import unwrap
from features.picture import decode, thumbnail
from tests.features.pictures import save, scene

CONFIG = PictureConfig(height=48, width=64, fit="squash")
GREY = (128, 128, 128)


def noisy(mode="RGB", size=(200, 150)):
    """A scene with noise."""
    noise = np.random.default_rng(1).integers(-20, 20, (size[1], size[0], 3))
    pixels = (np.asarray(scene(*size)).astype(int) + noise).clip(0, 255)
    return Image.fromarray(pixels.astype("u1")).convert(mode)


def cut(data, share, scan=0):
    """The file with this share of its coded data from a scan on, and an end marker."""
    at = -1
    for _ in range(scan + 1):
        at = data.index(b"\xff\xda", at + 1)
    begin = at + 4 + 2 * data[at + 4] + 4
    return data[: begin + int((len(data) - begin) * share)].rstrip(b"\xff") + b"\xff\xd9"


@pytest.mark.parametrize("share", [0, 0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_file_without_the_data_of_its_end_is_truncated(mode, rows, share):
    data = save(noisy(mode), "JPEG", quality=80, **({"restart_marker_rows": rows} if rows else {}))
    decode(data, CONFIG)
    with pytest.raises(InputError, match="truncated"):
        decode(cut(data, share), CONFIG)
    with pytest.raises(InputError, match="truncated"):
        thumbnail(cut(data, share), side=100)


def test_data_that_ends_at_a_restart_marker_is_truncated():
    data = save(noisy(), "JPEG", restart_marker_rows=1)
    for marker in (b"\xff\xd0", b"\xff\xd3"):
        at = data.index(marker, data.index(b"\xff\xda"))
        for end in (at, at + 2):
            with pytest.raises(InputError, match="truncated"):
                decode(data[:end] + b"\xff\xd9", CONFIG)


@pytest.mark.parametrize("share", [0, 0.02, 0.1, 0.25])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_progressive_file_without_most_of_its_data_is_truncated(mode, share):
    data = save(noisy(mode), "JPEG", progressive=True, quality=80)
    decode(data, CONFIG)
    with pytest.raises(InputError, match="truncated"):
        decode(cut(data, share), CONFIG)


def scans_of(data):
    """Where each scan begins, with the tables before it, and where the last ends."""
    ends, at = [], data.index(b"\xff\xda")
    while data[at + 1] != 0xD9:
        after = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if data[at + 1] == 0xDA:
            after = jpeg_data._MARKER.search(data, after).start()
            ends.append(after)
        at = after
    return ends


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_progressive_file_that_is_made_of_fewer_scans_is_read(mode):
    data = save(noisy(mode), "JPEG", progressive=True)
    ends = scans_of(data)
    assert len(ends) > 4
    for end in ends:
        assert decode(data[:end] + b"\xff\xd9", CONFIG).std() > 20


def test_a_file_without_the_scan_of_a_colour_is_truncated():
    data = save(noisy(), "JPEG", progressive=True)
    begin = data.index(b"\xff\xda")
    assert data[begin + 4] == 3
    alone = b"\xff\xda\x00\x08\x01" + data[begin + 5 : begin + 7] + data[begin + 11 :]
    with pytest.raises(InputError, match="no data of 2 of its 3 components"):
        decode(data[:begin] + alone[: scans_of(data)[0] - begin - 4] + b"\xff\xd9", CONFIG)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("rows", [0, 2])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_whole_picture_that_ends_in_grey_is_read(mode, rows, progressive):
    options = {"restart_marker_rows": rows} if rows else {}
    for begins in (0, 40, 149):
        picture = noisy()
        picture.paste(GREY, (0, begins, 200, 150))
        picture = picture.convert(mode)
        if mode == "CMYK":
            picture.paste((127, 127, 127, 127), (0, begins, 200, 150))
        for size in ((200, 150), (7, 9), (8, 8)):
            data = save(picture.resize(size), "JPEG", progressive=progressive, **options)
            assert decode(data, CONFIG).shape == (48, 64, 3)


def test_what_is_behind_the_end_counts_for_nothing():
    grey = save(Image.new("RGB", (200, 150), GREY), "JPEG")
    tail = save(noisy(), "JPEG")
    assert np.ptp(decode(grey + tail, CONFIG)) == 0
    with pytest.raises(InputError, match="truncated"):
        decode(cut(save(noisy(), "JPEG"), 0.3) + tail, CONFIG)


def test_a_picture_of_the_fewest_bits_that_code_it_is_read():
    for size, progressive in product(((8, 8), (16, 16), (1000, 800), (33, 1000)), (False, True)):
        for mode in ("L", "RGB"):
            picture = Image.new(mode, size, "white")
            data = save(picture, "JPEG", progressive=progressive, optimize=True)
            assert decode(data, CONFIG).min() == 255


def test_the_bound_is_two_bits_a_block_and_one_of_a_progressive_file():
    frame = jpeg_data.Frame(0xC0, 64, 800, ((1, 1, 1),))
    assert frame.blocks == 800
    assert not jpeg_data.missing(frame, bytes(200))
    assert "take 200 bytes or more in a JPEG file, 199 are there" in jpeg_data.missing(
        frame, bytes(199)
    )
    frame = jpeg_data.Frame(0xC2, 64, 800, ((1, 1, 1),))
    assert jpeg_data.missing(frame, bytes(99))
    assert not jpeg_data.missing(frame, bytes(100))
    arithmetic = jpeg_data.Frame(0xC9, 64, 800, ((1, 1, 1),))
    assert not jpeg_data.missing(arithmetic, bytes(9))
    assert jpeg_data.Frame(0xC0, 17, 17, ((1, 2, 2), (2, 1, 1), (3, 1, 1))).blocks == 9 + 4 + 4


def test_a_file_that_cannot_be_whole_is_not_decoded():
    data = save(noisy(), "JPEG")
    at = data.index(b"\xff\xc0") + 5
    giant = data[:at] + bytes((16, 0, 16, 0)) + data[at + 4 :]
    assert "4096 x 4096 pixels take" in unwrap(giant).missing
    with pytest.raises(InputError, match="4096 x 4096 pixels take"):
        decode(giant, CONFIG)
