import io
import struct

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from common.errors import InputError, UnsupportedMedia
from features.containers import flac, ogg
from features.containers.notes import Notes
from features.decode import decode_sound

SOUND = 0.4 * np.sin(np.arange(96_000) / 20)


def encode(subtype="VORBIS", rate=48_000, samples=SOUND):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="OGG", subtype=subtype)
    return file.getvalue()


def pages_of(data):
    return list(ogg._pages(data, Notes()))


def page(body, *, flags=0, granule=0, serial=7, number=0):
    laces = [255] * (len(body) // 255) + [len(body) % 255]
    head = b"OggS\0" + struct.pack("<BQII", flags, granule, serial, number) + bytes(4)
    whole = head + bytes([len(laces), *laces]) + body
    return whole[:22] + struct.pack("<I", ogg.crc(whole)) + whole[26:]


def renamed(data, serial):
    """The same stream under another number."""
    out = b""
    for each in pages_of(data):
        part = data[each.at : each.end]
        part = part[:14] + struct.pack("<I", serial) + part[18:22] + bytes(4) + part[26:]
        out += part[:22] + struct.pack("<I", ogg.crc(part)) + part[26:]
    return out


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_streams_that_follow_each_other_are_all_read(subtype):
    data = encode(subtype)
    one = decode_sound(data)
    assert_allclose(
        decode_sound(data + data).samples, np.concatenate([one.samples, one.samples]), atol=1e-6
    )
    other = encode("VORBIS", 22_050)
    total = 2 * one.seconds + decode_sound(other).seconds
    assert decode_sound(data + other + data).seconds == pytest.approx(total)


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_stream_beside_another_that_is_no_sound_is_read(subtype):
    data = encode(subtype)
    first, *rest = pages_of(data)
    extra = page(b"fishead\0" + bytes(56), flags=ogg.FIRST)
    more = page(b"fisbone\0", number=1)
    whole = extra + data[: first.end] + more + data[rest[0].at :]
    assert_allclose(decode_sound(whole).samples, decode_sound(data).samples, atol=1e-6)


def test_of_two_sounds_at_one_time_the_first_is_read_and_that_is_told():
    one, two = renamed(encode(), 1), renamed(encode(), 2)
    a, b = pages_of(one), pages_of(two)
    whole = one[: a[0].end] + two[: b[0].end] + one[a[1].at :] + two[b[1].at :]
    sound = decode_sound(whole)
    assert sound.seconds == pytest.approx(2)
    assert [each.kind for each in sound.warnings] == ["tracks"]


@pytest.mark.parametrize("tail", [bytes(512), b"TAG" + bytes(125)])
def test_padding_after_the_last_page_is_not_sound(tail):
    sound = decode_sound(encode() + tail)
    assert sound.seconds == pytest.approx(2)
    assert sound.warnings == ()


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_a_stream_that_was_interrupted_after_a_page_is_read_with_a_warning(subtype):
    data = encode(subtype, samples=np.tile(SOUND, 4))
    sound = decode_sound(data[: pages_of(data)[-1].at])
    assert 1 < sound.seconds < 8
    assert [each.kind for each in sound.warnings] == ["truncated"]


def test_a_page_that_is_cut_is_an_error_and_partial_reads_what_is_before_it():
    data = encode(samples=np.tile(SOUND, 4))
    with pytest.raises(InputError, match="ends inside a page"):
        decode_sound(data[:-10])
    assert 1 < decode_sound(data[:-10], partial=True).seconds < 8


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_damaged_and_missing_pages_are_an_error_that_says_where(subtype):
    data = encode(subtype, samples=np.tile(SOUND, 8))
    pages = pages_of(data)
    middle = pages[len(pages) // 2]
    hurt = bytearray(data)
    hurt[middle.end - 1] ^= 1
    with pytest.raises(InputError, match=f"at byte {middle.at}|before byte"):
        decode_sound(bytes(hurt))
    with pytest.raises(InputError, match=f"missing before byte {middle.at}"):
        decode_sound(data[: middle.at] + data[middle.end :])


def test_flac_in_ogg_is_read():
    file = io.BytesIO()
    soundfile.write(file, SOUND, 48_000, format="FLAC")
    data = file.getvalue()
    start = flac._audio_start(data)
    found = [each.at for each in flac._headers(data, start, data[8:42], Notes())]
    first = b"\x7fFLAC\1\0\0\1fLaC" + data[4:42]
    whole = page(first, flags=ogg.FIRST) + page(b"\x84\0\0\0", number=1)
    for number, (at, end) in enumerate(zip(found, [*found[1:], len(data)], strict=True), start=2):
        flags = ogg.LAST if end == len(data) else 0
        whole += page(data[at:end], number=number, granule=4_096 * number, flags=flags)
    assert_allclose(decode_sound(whole).samples, decode_sound(data).samples)


def test_a_codec_that_is_not_read_is_named():
    with pytest.raises(UnsupportedMedia, match="Speex"):
        decode_sound(page(b"Speex   1.2" + bytes(60), flags=ogg.FIRST | ogg.LAST))


def test_the_checksum_is_that_of_the_format():
    data = encode()
    for each in pages_of(data):
        part = data[each.at : each.end]
        assert struct.unpack_from("<I", part, 22)[0] == ogg.crc(part[:22] + bytes(4) + part[26:])
