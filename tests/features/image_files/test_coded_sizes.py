"""What AV1 and HEVC data decode to is known from their sequence headers."""

import pytest
from PIL import Image

from common.errors import InputError, Unprocessable
from features.image_files.coded_sizes import MAX_FRAMES, av1_pixels, hevc_pixels, sps_pixels
from tests.features.heic_file import HEIC
from tests.features.pictures import save

DELIMITER = b"\x12\0"
FRAME = b"\x32\1\0"


def av1(width, height, **options):
    """The coded data of an AVIF file."""
    data = save(Image.new("RGB", (width, height), "red"), "AVIF", **options)
    return data[data.rindex(b"mdat") + 4 :]


@pytest.mark.parametrize("size", [(1, 1), (64, 48), (301, 257), (4_000, 300)])
def test_the_size_of_a_still_picture_is_read_to_the_pixel(size):
    assert av1_pixels(av1(*size)) == size[0] * size[1]


def test_a_sequence_counts_as_the_largest_frame_that_it_may_hold():
    pictures = [Image.new("RGB", (300, 200), colour) for colour in ("red", "blue", "white")]
    data = save(pictures[0], "AVIF", save_all=True, append_images=pictures[1:])
    first = data[data.rindex(b"mdat") + 4 :]
    assert av1_pixels(first[: first.index(DELIMITER, 2) if DELIMITER in first[2:] else None]) in (
        300 * 200,
        512 * 256,
    )


def test_frames_are_bounded():
    assert av1_pixels(FRAME * MAX_FRAMES) == 0
    with pytest.raises(Unprocessable, match=f"more than {MAX_FRAMES} AV1 frames"):
        av1_pixels(FRAME * (MAX_FRAMES + 1))


@pytest.mark.parametrize("data", [b"\x0a\x01\0", b"\x0a" + b"\xff" * 9, b"\x0a\x06\x18", b"\x0a"])
def test_a_header_that_ends_early_or_never_is_rejected(data):
    with pytest.raises(InputError, match=r"ends early|does not end"):
        av1_pixels(data)


def unit():
    """The sequence parameter set of the HEIC file."""
    at = HEIC.index(b"B\1\1\3p")
    return HEIC[at : at + int.from_bytes(HEIC[at - 2 : at], "big")]


def test_the_size_of_hevc_is_read_wherever_its_parameter_set_stands():
    assert sps_pixels(unit()) == 64 * 64
    behind = len(unit()).to_bytes(4, "big") + unit()
    assert hevc_pixels(b"\0\0\0\3\x28\1\xaf" + behind, length_size=4) == 64 * 64
    assert hevc_pixels(b"\0\3\x28\1\xaf" + behind[2:], length_size=2) == 64 * 64


def test_a_parameter_set_that_ends_early_is_rejected():
    with pytest.raises(InputError, match="ends early"):
        sps_pixels(unit()[:12])
