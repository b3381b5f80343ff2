"""Colours of a BMP in bit fields of any place and width are read as what they say."""

import struct

import numpy as np
import pytest

from common.errors import InputError
from features.config import PictureConfig
from features.image_files.bmp_fields import usual
from features.picture import decode
from tests.features.pictures import save, scene

FIELDS = {
    "444": (16, (0xF00, 0xF0, 0xF)),
    "BGR": (32, (0xFF, 0xFF00, 0xFF0000)),
    "10 bit": (32, (0x3FF00000, 0xFFC00, 0x3FF)),
    "mixed": (32, (0xE00, 0xFF0000, 0x3F)),
    "one bit": (16, (1, 2, 4)),
    "no green": (32, (0xFF, 0, 0xFF0000)),
    "565": (16, (0xF800, 0x7E0, 0x1F)),
}
WIDTH, HEIGHT = 7, 5


def bmp(bits, masks, *, header=40, top=False):
    """A BMP of noise, and its colours by the definition."""
    pixels = np.random.default_rng(3).integers(0, 2**bits, (HEIGHT, WIDTH), np.uint64)
    row = (WIDTH * bits + 31) // 32 * 4
    body = b"".join(line.astype(f"<u{bits // 8}").tobytes().ljust(row, b"\0") for line in pixels)
    info = (
        struct.pack(
            "<IiiHHIIiiII",
            header,
            WIDTH,
            -HEIGHT if top else HEIGHT,
            1,
            bits,
            3,
            len(body),
            0,
            0,
            0,
            0,
        )
        + struct.pack("<4I", *masks, 0)[: 12 if header == 40 else 16]
    )
    info = info.ljust(header, b"\0")
    head = b"BM" + struct.pack("<IHHI", 14 + len(info) + len(body), 0, 0, 14 + len(info))
    colours = np.zeros((HEIGHT, WIDTH, 3))
    for channel, mask in enumerate(masks):
        if mask:
            low = mask & -mask
            colours[..., channel] = (pixels & np.uint64(mask)) / low * 255 / (mask // low)
    return head + info + body, np.rint(colours if top else colours[::-1])


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("header", [40, 56, 108, 124])
@pytest.mark.parametrize("top", [False, True])
def test_every_field_is_read_as_its_share_of_255(name, header, top):
    data, colours = bmp(*FIELDS[name], header=header, top=top)
    pixels = decode(data, PictureConfig(height=HEIGHT, width=WIDTH))
    # Pillow repeats the upper bits of 565 instead of rounding.
    assert np.abs(pixels - colours).max() <= (5 if name == "565" else 1)


def test_a_field_of_alpha_is_transparency():
    data, _ = bmp(32, FIELDS["BGR"][1], header=56)
    data = data[:66] + struct.pack("<I", 0xFF000000) + data[70:]
    clear = data[:70] + b"\x10\x20\x30\0" * (WIDTH * HEIGHT)
    assert (decode(clear, PictureConfig(height=HEIGHT, width=WIDTH)) == 255).all()
    solid = data[:70] + b"\x10\x20\x30\xff" * (WIDTH * HEIGHT)
    pixels = decode(solid, PictureConfig(height=HEIGHT, width=WIDTH))
    assert (pixels == (0x10, 0x20, 0x30)).all()


def test_other_files_stay_as_they_are():
    for data in (save(scene(), "BMP"), bmp(*FIELDS["565"])[0]):
        assert usual(data) is data


def test_rows_that_are_not_there_are_an_error():
    data, _ = bmp(*FIELDS["BGR"])
    with pytest.raises(InputError, match="ends before its last row"):
        usual(data[:-1])
    huge = data[:18] + struct.pack("<ii", 2**31 - 1, 2**31 - 1) + data[26:]
    with pytest.raises(InputError, match="ends before its last row"):
        usual(huge)
