import io

import numpy as np
import pytest
import soundfile

from common.errors import InputError, UnsupportedMedia
from features.containers import kinds
from features.decode import decode_sound

NAMED = [
    (b"\0\0\0\x20ftypM4A " + bytes(40), "M4A"),
    (b"\xff\xf1\x50\x80" + bytes(40), "AAC"),
    (b"#!AMR\n" + bytes(40), "AMR"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11" + bytes(40), "WMA"),
    (b"wvpk" + bytes(40), "WavPack"),
    (b"MAC " + bytes(40), "APE"),
    (b"\x0b\x77" + bytes(40), "AC-3"),
    (b"Creative Voice File" + bytes(40), "VOC"),
    (b"\x7f\xfe\x80\x01" + bytes(40), "DTS"),
    (3 * (b"G" + bytes(187)), "MPEG transport stream"),
]
NO_SOUND = [
    (b"MThd" + bytes(40), "MIDI"),
    (b"PK\x03\x04" + bytes(40), "ZIP"),
    (b"\x1f\x8b" + bytes(40), "gzip"),
    (b"\x89PNG\r\n\x1a\n" + bytes(40), "PNG"),
    (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
    (b"<!DOCTYPE html>", "HTML"),
    (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
]


@pytest.mark.parametrize(("data", "name"), NAMED)
def test_sound_that_is_not_read_here_is_named_with_the_command_that_converts_it(data, name):
    with pytest.raises(UnsupportedMedia, match=name) as caught:
        decode_sound(data)
    assert "ffmpeg -i FILE sound.flac" in str(caught.value)


@pytest.mark.parametrize(("data", "name"), NO_SOUND)
def test_what_is_no_sound_is_named_without_that_command(data, name):
    with pytest.raises(UnsupportedMedia, match=name) as caught:
        decode_sound(data)
    assert "ffmpeg" not in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"ID3", b"ID3\4\0\0\0\0\0\0"])
def test_nothing_or_a_tag_alone_is_an_error(data):
    with pytest.raises(InputError):
        decode_sound(data)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "AIFF", "AU", "CAF", "W64"])
def test_a_tag_before_a_file_hides_its_kind_from_nobody(kind):
    file = io.BytesIO()
    soundfile.write(file, 0.4 * np.sin(np.arange(22_050) / 9), 22_050, format=kind)
    tag = b"ID3\4\0\0\0\0\0\x0a" + bytes(10)
    assert kinds.sniff(kinds.without_tag(tag + file.getvalue())).name == kind
    assert decode_sound(tag + file.getvalue()).seconds == pytest.approx(1)


@pytest.mark.parametrize("rate", [8_000, 22_051, 44_100, 48_000, 384_000])
@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_sound_of_a_few_samples_is_read_or_an_input_error(rate, length):
    file = io.BytesIO()
    soundfile.write(file, np.full(length, 0.1), rate, format="WAV")
    if 2 * length * 22_050 < rate:
        with pytest.raises(InputError, match="less than one sample"):
            decode_sound(file.getvalue())
    else:
        assert decode_sound(file.getvalue()).samples.size > 0
