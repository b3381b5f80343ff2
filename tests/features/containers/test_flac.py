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


SIDE = {"left": 8, "right": 9, "mid": 10}


def verbatim(bits, *channels, code, side=None):
    """A FLAC file of one frame that holds the values of its channels as they are."""
    count = len(channels[0])
    way = SIDE[side] if side else len(channels) - 1
    head = b"\xff\xf8" + bytes([0x79, way << 4 | code << 1, 0]) + (count - 1).to_bytes(2, "big")
    head += bytes([flac._crc8(head)])
    packed, width = 0, 0
    for values, depth in coded(bits, channels, side):
        packed, width = packed << 8 | 0b00000010, width + 8
        for value in values:
            packed, width = packed << depth | value & (1 << depth) - 1, width + depth
    packed, width = packed << -width % 8, width + -width % 8
    frame = head + packed.to_bytes(width // 8, "big")
    word = RATE << 44 | (len(channels) - 1) << 41 | (bits - 1) << 36 | count
    size = count.to_bytes(2, "big")
    info = size + size + bytes(6) + word.to_bytes(8, "big") + bytes(16)
    return flac.MAGIC + b"\x80\0\0\x22" + info + frame + crc16(frame)


def coded(bits, channels, side):
    """What a frame holds of its channels, and in how many bits."""
    if not side:
        return [(values, bits) for values in channels]
    left, right = channels
    difference = [one - other for one, other in zip(left, right, strict=True)], bits + 1
    middle = [one + other >> 1 for one, other in zip(left, right, strict=True)]
    return {
        "left": [(left, bits), difference],
        "right": [difference, (right, bits)],
        "mid": [(middle, bits), difference],
    }[side]


def wave(bits, level=0.5, step=9):
    return [round(level * 2 ** (bits - 1) * np.sin(each / step)) for each in range(2_000)]


DEPTHS = {8: 1, 12: 2, 16: 4, 20: 5, 24: 6, 32: 7}


@pytest.mark.parametrize(("bits", "code"), DEPTHS.items())
def test_every_depth_that_frames_state_is_read(bits, code):
    values = wave(bits)
    sound = decode_sound(verbatim(bits, values, code=code), sample_rate=RATE)
    assert_allclose(sound.samples, np.array(values) / 2 ** (bits - 1), atol=2**-20)


@pytest.mark.parametrize("side", [None, *SIDE])
@pytest.mark.parametrize(("bits", "code"), DEPTHS.items())
def test_two_channels_of_every_depth_are_read_however_they_are_coded(bits, code, side):
    left, right = wave(bits), wave(bits, 0.4, 11)
    data = verbatim(bits, left, right, code=code, side=side)
    expected = (np.array(left) + np.array(right)) / 2**bits
    assert_allclose(decode_sound(data, sample_rate=RATE).samples, expected, atol=2**-20)


@pytest.mark.parametrize("side", [None, *SIDE])
@pytest.mark.parametrize("bits", [bits for bits in range(4, 33) if bits not in (8, 16, 24)])
def test_a_depth_that_is_not_read_is_named_with_the_command_that_converts_it(bits, side):
    data = verbatim(bits, wave(bits), wave(bits, 0.4), code=0, side=side)
    with pytest.raises(UnsupportedMedia, match=f"FLAC of {bits} bits.*ffmpeg -i FILE"):
        decode_sound(data)


@pytest.mark.parametrize("kind", [1, 3, 4, 5, 6, 126])
def test_pictures_and_tags_are_not_looked_at_however_damaged(kind):
    data = encode()
    start = flac._audio_start(data)
    block = bytes([kind]) + (20_000).to_bytes(3, "big") + data[start : start + 2_000].ljust(20_000)
    spoilt = data[:4] + b"\0" + data[5:42] + block + b"\x81\0\0\0" + data[start:]
    assert_allclose(decode_sound(spoilt).samples, decode_sound(data).samples)


def test_a_header_that_is_cut_is_an_error():
    data = encode()
    for size in (4, 7, 20, 41, 60):
        with pytest.raises(InputError, match=r"header|truncated"):
            decode_sound(data[:size])
