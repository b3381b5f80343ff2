import io
import struct

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from common.errors import InputError, UnsupportedMedia
from features.decode import decode_sound

RATE = 22_050
SOUND = 0.4 * np.sin(np.arange(RATE) / 9)
RAW = np.round(SOUND * 32_767).astype("<i2").tobytes()


def encode(kind, subtype="PCM_16", endian=None, samples=SOUND):
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format=kind, subtype=subtype, endian=endian)
    return file.getvalue()


def wav(riff, data, raw=RAW, magic=b"RIFF", tag=1, align=2):
    head = magic + struct.pack("<I", riff) + b"WAVEfmt "
    head += struct.pack("<IHHIIHH", 16, tag, 1, RATE, align * RATE, align, 8 * align)
    return head + b"data" + struct.pack("<I", data) + raw


SIZE = len(RAW)
KINDS = [
    ("WAV", "PCM_16", "BIG"), ("AIFF", "PCM_16", None), ("AIFF", "PCM_24", None),
    ("AIFF", "PCM_16", "LITTLE"), ("AIFF", "FLOAT", None), ("AU", "PCM_16", None),
    ("AU", "ULAW", None), ("AU", "PCM_16", "LITTLE"), ("CAF", "PCM_16", None),
    ("CAF", "FLOAT", None), ("CAF", "ALAC_16", None), ("W64", "PCM_16", None),
    ("W64", "PCM_24", None), ("RF64", "PCM_16", None),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "subtype", "endian"), KINDS)
def test_every_container_of_chunks_is_read(kind, subtype, endian):
    sound = decode_sound(encode(kind, subtype, endian))
    assert_allclose(sound.samples, SOUND, atol=0.02)
    assert sound.warnings == ()


UNCOMPRESSED = [each for each in KINDS if each[1] != "ALAC_16"]


@pytest.mark.parametrize(("kind", "subtype", "endian"), UNCOMPRESSED)
@pytest.mark.parametrize("share", [0.98, 0.5])
def test_sound_that_is_missing_is_an_error_and_partial_takes_what_is_there(
    kind, subtype, endian, share
):
    data = encode(kind, subtype, endian)
    cut = data[: int(len(data) * share)]
    with pytest.raises(InputError, match=r"truncated: the header promises \d+ bytes"):
        decode_sound(cut)
    sound = decode_sound(cut, partial=True)
    assert sound.seconds == pytest.approx(share, abs=0.05)
    assert_allclose(sound.samples[:10_000], SOUND[:10_000], atol=0.02)
    assert [each.kind for each in sound.warnings] == ["truncated"]


@pytest.mark.parametrize(
    ("riff", "data"),
    [
        (0xFFFFFFFF, 0xFFFFFFFF),
        (0x23, 0xFFFFFFFF),
        (0, 0xFFFFFFFF),
        (0xFFFFFFBF, 0xFFFFFF9B),
        (0xFFFFFF24, 0xFFFFFF00),
        (0x7FFFF024, 0x7FFFF000),
        (0x80000024, 0x80000000),
    ],
)
def test_sizes_that_mean_an_unknown_length_are_read_to_the_end(riff, data):
    sound = decode_sound(wav(riff, data))
    assert_allclose(sound.samples, SOUND, atol=1e-3)
    assert sound.warnings == ()


@pytest.mark.parametrize("riff", [0, 36, 8])
def test_sizes_that_were_never_filled_in_are_read_with_a_warning(riff):
    sound = decode_sound(wav(riff, 0))
    assert_allclose(sound.samples, SOUND, atol=1e-3)
    assert [each.kind for each in sound.warnings] == ["truncated"]
    assert "never filled in" in sound.warnings[0].detail


def test_a_size_that_only_the_data_overstates_is_read_with_a_warning():
    sound = decode_sound(wav(36 + SIZE, 2 * SIZE))
    assert_allclose(sound.samples, SOUND, atol=1e-3)
    assert [each.kind for each in sound.warnings] == ["truncated"]


@pytest.mark.parametrize("more", [2, 1_000, SIZE, 0xFFFFFEDB - SIZE])
def test_sizes_that_promise_more_need_partial(more):
    data = wav(36 + SIZE + more, SIZE + more)
    with pytest.raises(InputError, match=f"promises {SIZE + more} bytes"):
        decode_sound(data)
    assert_allclose(decode_sound(data, partial=True).samples, SOUND, atol=1e-3)


def test_a_last_sample_that_is_not_whole_is_not_missing():
    sound = decode_sound(wav(36 + SIZE + 1, SIZE + 1))
    assert_allclose(sound.samples, SOUND, atol=1e-3)
    assert sound.warnings == ()


@pytest.mark.parametrize("tail", [b"LIST\4\0\0\0INFO", b"ID3\3" + bytes(60), bytes(9_000)])
def test_chunks_tags_and_zeros_after_the_sound_are_not_sound(tail):
    for riff in (36 + SIZE, 36 + SIZE + len(tail)):
        sound = decode_sound(wav(riff, SIZE, RAW + tail))
        assert_allclose(sound.samples, SOUND, atol=1e-3)
        assert sound.warnings == ()


def test_much_that_no_size_covers_is_told():
    sound = decode_sound(wav(36 + SIZE, SIZE, RAW + RAW))
    assert sound.seconds == 1
    assert [each.kind for each in sound.warnings] == ["trailing"]


NOTE = b"LIST" + struct.pack("<I", 6_000) + bytes(6_000)


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (NOTE, False),
        (NOTE + b"id3 " + struct.pack("<I", 3) + b"abc\0", False),
        (b"data" + struct.pack("<I", SIZE) + RAW, True),
        (NOTE + b"data" + struct.pack("<I", SIZE) + RAW, True),
        (RAW, True),
    ],
)
def test_sound_after_the_sound_is_told_also_where_the_file_states_it_as_its_own(after, told):
    file = wav(36 + SIZE + len(after), SIZE, RAW + after)
    sound = decode_sound(file)
    assert sound.seconds == 1
    assert ["trailing"] * told == [each.kind for each in sound.warnings]


def test_a_size_of_zero_is_none_in_au_and_where_no_chunks_follow():
    au = encode("AU")
    for data in (au[:8] + bytes(4) + au[12:], wav(36 + SIZE, 0)):
        sound = decode_sound(data)
        assert sound.seconds == pytest.approx(1, abs=1e-3)
        assert [each.kind for each in sound.warnings] == ["truncated"]
    assert decode_sound(wav(36 + SIZE + 8, SIZE, RAW + b"cue \0\0\0\0")).warnings == ()


def test_an_rf64_file_that_states_half_of_its_sound_is_told_of():
    data = bytearray(encode("RF64"))
    at = data.index(b"ds64") + 16
    assert struct.unpack_from("<Q", data, at)[0] == SIZE
    struct.pack_into("<Q", data, at, SIZE // 2)
    sound = decode_sound(bytes(data))
    assert [each.kind for each in sound.warnings] == ["trailing"]


def test_an_empty_file_stays_empty():
    with pytest.raises(InputError, match="no samples"):
        decode_sound(wav(36, 0, b""))
    with pytest.raises(InputError, match="no samples"):
        decode_sound(wav(48, 0, b"LIST\4\0\0\0INFO"))


def unknown(kind, fields):
    data = bytearray(encode(kind))
    for at, value in fields.items():
        data[at : at + len(value)] = value
    return bytes(data)


UNKNOWN = {
    "AU": {8: b"\xff\xff\xff\xff"},
    "W64": {16: b"\xff" * 7 + b"\x7f", 40 + 16 + 24 + 16: b"\xff" * 7 + b"\x7f"},
}


@pytest.mark.parametrize("size", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\0\0\x08"])
def test_an_aiff_file_of_a_pipe_is_read_to_its_end(size):
    data = bytearray(encode("AIFF"))
    at = data.index(b"SSND")
    value = int.from_bytes(size, "big")
    data[at + 4 : at + 8] = size
    whole = value + at if value and value != 0xFFFFFFFF else value
    data[4:8] = whole.to_bytes(4, "big")
    data[data.index(b"COMM") + 10 : data.index(b"COMM") + 14] = bytes(4)
    assert_allclose(decode_sound(bytes(data)).samples, SOUND, atol=1e-3)


def test_an_au_file_of_a_pipe_is_read_to_its_end():
    assert_allclose(decode_sound(unknown("AU", UNKNOWN["AU"])).samples, SOUND, atol=1e-3)


def test_a_caf_file_of_a_pipe_is_read_to_its_end():
    data = bytearray(encode("CAF"))
    at = data.index(b"data") + 4
    data[at : at + 8] = b"\xff" * 8
    assert_allclose(decode_sound(bytes(data)).samples, SOUND, atol=1e-3)


def test_a_w64_file_of_a_pipe_is_read_to_its_end():
    data = bytearray(encode("W64"))
    at = data.index(b"data\xf3") + 16
    data[at : at + 8] = data[16:24] = b"\xff" * 7 + b"\x7f"
    assert_allclose(decode_sound(bytes(data)).samples, SOUND, atol=1e-3)


@pytest.mark.parametrize(("tag", "name"), [(0x28, "G.722"), (0x161, "WMA"), (0x9999, "0x9999")])
def test_a_codec_that_is_not_read_is_named(tag, name):
    with pytest.raises(UnsupportedMedia, match=name):
        decode_sound(wav(36 + SIZE, SIZE, tag=tag))


def test_mp3_in_wav_is_read_to_its_end():
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", 44_100, 1, format="MP3", bitrate_mode="VARIABLE") as out:
        out.write(np.tile(SOUND, 4))
    raw = file.getvalue()
    assert decode_sound(wav(36 + len(raw), len(raw), raw, tag=0x55)).seconds == pytest.approx(
        decode_sound(raw).seconds
    )


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "AU", "CAF", "W64"])
def test_every_place_to_cut_is_answered_or_an_input_error(kind):
    data = encode(kind)[:400]
    for end in range(1, 200):
        for partial in (False, True):
            try:
                decode_sound(data[:end], partial=partial)
            except InputError:
                continue
