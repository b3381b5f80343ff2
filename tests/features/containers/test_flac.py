import io

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from common.errors import InputError, UnsupportedMedia
from features.containers import flac
from features.decode import decode_sound

RATE = 44_100
SOUND = 0.5 * np.sin(np.arange(100_000) / 20) + np.random.default_rng(0).normal(0, 0.01, 100_000)


def encode(samples=SOUND, rate=RATE, subtype="PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="FLAC", subtype=subtype)
    return file.getvalue()


def with_total(data, total):
    word = int.from_bytes(data[18:26], "big") >> 36 << 36 | total
    return data[:18] + word.to_bytes(8, "big") + data[26:]


def frames_of(data):
    start = flac._audio_start(data)
    return [each.at for each in flac._headers(data, start, data[8:42], flac.Notes())]


@pytest.mark.parametrize("subtype", ["PCM_S8", "PCM_16", "PCM_24"])
@pytest.mark.parametrize("total", [0, 1, 50_000, 99_999])
def test_a_length_that_is_unknown_or_too_short_hides_nothing(subtype, total):
    data = encode(subtype=subtype)
    sound = decode_sound(with_total(data, total))
    assert_allclose(sound.samples, decode_sound(data).samples, atol=1e-6)
    assert sound.warnings == ()


def test_a_length_beyond_what_is_there_is_an_error_and_partial_takes_it():
    data = with_total(encode(), 150_000)
    with pytest.raises(InputError, match="promises 150000 samples, 100000 are there"):
        decode_sound(data)
    sound = decode_sound(data, partial=True)
    assert sound.seconds == pytest.approx(100_000 / RATE)
    assert [each.kind for each in sound.warnings] == ["truncated"]


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_partial_reads_the_whole_frames_of_a_file_that_is_cut(share):
    data = encode()
    cut = data[: int(len(data) * share)]
    with pytest.raises(InputError, match="truncated"):
        decode_sound(cut)
    sound = decode_sound(cut, partial=True)
    whole = decode_sound(data).samples
    assert 0.2 * len(whole) < len(sound.samples) < len(whole)
    assert_allclose(sound.samples[:10_000], whole[:10_000], atol=1e-6)


def test_a_recording_of_unknown_length_that_is_cut_is_read_with_a_warning():
    data = with_total(encode(), 0)
    sound = decode_sound(data[: len(data) // 2])
    assert [each.kind for each in sound.warnings] == ["truncated"]


@pytest.mark.parametrize("tail", [bytes(700), b"TAG" + bytes(125), b"APETAGEX" + bytes(80)])
def test_tags_and_zeros_after_the_last_frame_are_not_sound(tail):
    data = with_total(encode(), 0)
    assert_allclose(decode_sound(data + tail).samples, decode_sound(data).samples)


def test_frames_that_are_missing_are_an_error_that_says_where():
    data = encode()
    at = frames_of(data)
    hurt = data[: at[5]] + data[at[8] :]
    with pytest.raises(InputError, match=f"between byte {at[4]} and {at[5]}"):
        decode_sound(hurt)


def test_a_stream_that_was_cut_out_of_the_middle_is_read():
    data = with_total(encode(), 0)
    at = frames_of(data)
    cut = data[: at[0]] + data[at[7] :]
    assert decode_sound(cut).seconds == pytest.approx((100_000 - 7 * 4_096) / RATE)


def test_a_change_of_rate_or_channels_within_the_file_is_read_to_the_end():
    stereo = np.stack([SOUND, SOUND], axis=1)
    for other in (encode(rate=48_000), encode(stereo)):
        joined = with_total(encode(), 0) + other[frames_of(other)[0] :]
        expected = decode_sound(encode()).seconds + decode_sound(other).seconds
        assert decode_sound(joined).seconds == pytest.approx(expected)


def _with_bits(data, bits):
    word = int.from_bytes(data[18:26], "big")
    word = word & ~(31 << 36) | (bits - 1) << 36
    return data[:18] + word.to_bytes(8, "big") + data[26:]


def crc16(data):
    value = 0
    for byte in data:
        value = (value << 8 ^ flac._CRC16[value >> 8 ^ byte]) & 0xFFFF
    return value.to_bytes(2, "big")


def verbatim(bits, values, *, code):
    """A FLAC file of one frame that holds the values as they are."""
    head = b"\xff\xf8" + bytes([0x79, code << 1, 0]) + (len(values) - 1).to_bytes(2, "big")
    head += bytes([flac._crc8(head)])
    packed, width = 0b00000010, 8
    for value in values:
        packed, width = packed << bits | value & (1 << bits) - 1, width + bits
    packed, width = packed << -width % 8, width + -width % 8
    frame = head + packed.to_bytes(width // 8, "big")
    word = RATE << 44 | (bits - 1) << 36 | len(values)
    size = len(values).to_bytes(2, "big")
    info = size + size + bytes(6) + word.to_bytes(8, "big") + bytes(16)
    return flac.MAGIC + b"\x80\0\0\x22" + info + frame + crc16(frame)


@pytest.mark.parametrize(("bits", "code"), [(8, 1), (12, 2), (16, 4), (20, 5), (24, 6)])
def test_every_depth_that_frames_state_is_read(bits, code):
    values = [round(0.5 * 2 ** (bits - 1) * np.sin(each / 9)) for each in range(2_000)]
    sound = decode_sound(verbatim(bits, values, code=code), sample_rate=RATE)
    assert_allclose(sound.samples, np.array(values) / 2 ** (bits - 1), atol=2**-20)


def test_a_depth_that_is_not_read_is_named():
    with pytest.raises(UnsupportedMedia, match="15 bits"):
        decode_sound(verbatim(15, list(range(2_000)), code=0))


def test_a_header_that_is_cut_is_an_error():
    data = encode()
    for size in (4, 7, 20, 41, 60):
        with pytest.raises(InputError, match=r"header|truncated"):
            decode_sound(data[:size])
