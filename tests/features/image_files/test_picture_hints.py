"""A body that is no picture is named, with what to do about it."""

import base64
import json

import pytest

from common.errors import InputError, UnsupportedMedia
from features.config import PictureConfig
from features.image_files.image_header import sniff
from features.image_files.picture_hints import hint, is_stripped
from features.picture import decode
from tests.features.pictures import png, save, scene

CODED = base64.b64encode(save(scene(), "PNG"))


def stripped(data):
    """What `curl -d @FILE` sends of a file."""
    return data.translate(None, b"\0\r\n")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (CODED, "base64"),
        (base64.encodebytes(save(scene(), "JPEG")), "base64"),
        (base64.urlsafe_b64encode(save(scene(), "WEBP")), "base64"),
        (b"data:image/png;base64," + CODED, "data: URI"),
        (b"data:,x", "data: URI"),
        (json.dumps({"image": CODED.decode()}).encode(), "JSON"),
        (json.dumps([[1, 2], [3, 4]]).encode(), "JSON"),
        (b'"' + CODED + b'"', "JSON"),
        (b"file=" + CODED, "form of text"),
        (b"image=%89PNG", "form of text"),
        (b'--x\r\nContent-Disposition: form-data; name="file"', "Content-Type"),
        (b"\xff\x0a\xfa", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0\x2f", "JPEG 2000"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"\0\0\2\0\1\0", "CUR"),
        (b"<svg/>", "SVG"),
        (b"8BPS\0\1", "PSD"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isom", "MP4"),
        (b"\0\0\0\x14ftypqt  ", "MP4"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "raw files of cameras"),
        (b"\x1aE\xdf\xa3\x9f", "WebM"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound"),
        (b"ID3\4", "sound"),
        (b"P6\n1 1\n255\n", "PNM"),
        (b"PK\3\4", "ZIP"),
        (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
    ],
)
def test_what_is_no_picture_is_named(data, words):
    with pytest.raises(UnsupportedMedia, match=words):
        sniff(data)


@pytest.mark.parametrize("data", [b"hello", b"\x7fELF\2\1", b"A" * 31, b"x y z" * 40])
def test_what_is_not_known_gets_no_hint(data):
    assert not hint(data)


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP", "TIFF", "PNG", "WEBP", "AVIF"])
def test_a_file_without_its_line_ends_is_told_so(kind):
    noise = scene(301, 257).effect_spread(9)
    with pytest.raises(InputError, match="--data-binary"):
        decode(stripped(save(noise, kind)), PictureConfig(height=8, width=8))


def test_a_truncated_file_is_not_taken_for_one_without_line_ends():
    for data in (save(scene(301, 257), "JPEG")[:-900], png(64, 64, pixels=b"")):
        with pytest.raises(InputError, match=r"truncated|damaged") as error:
            decode(data, PictureConfig(height=8, width=8))
        assert "--data-binary" not in str(error.value)


def test_only_a_file_of_some_length_shows_that_values_are_missing():
    assert is_stripped(b"\x89PNG" * 250)
    assert not is_stripped(b"\x89PNG" * 249)
    assert not is_stripped(b"\x89PNG" * 250 + b"\n")
