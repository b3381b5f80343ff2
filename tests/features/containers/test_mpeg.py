import io

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from common.errors import InputError, UnsupportedMedia
from features.containers import mpeg
from features.containers.notes import Notes
from features.decode import decode_sound

RATE = 44_100


def music(seconds=4.0, rate=RATE):
    """A chirp whose loudness changes, so that frames of a variable rate differ."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(1).normal(0, 0.1, time.size) * (time % 1)
    return 0.4 * np.sin(2 * np.pi * (200 + 300 * time) * time) + noise


def mp3(samples=None, rate=RATE, mode="VARIABLE", tagged=False):
    file = io.BytesIO()
    samples = music(rate=rate) if samples is None else samples
    with soundfile.SoundFile(
        file, "w", rate, np.ndim(samples), format="MP3", bitrate_mode=mode
    ) as out:
        out.write(samples)
    data = file.getvalue()
    return data if tagged else data[mpeg.frame_at(data, 0).size :]


def places_of(data):
    places = [0]
    while places[-1] < len(data):
        places.append(places[-1] + mpeg.frame_at(data, places[-1]).size)
    return places


def frames_of(data):
    return len(places_of(data)) - 1


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("mode", ["VARIABLE", "CONSTANT", "AVERAGE"])
def test_every_frame_of_a_file_without_a_tag_is_read(rate, mode):
    data = mp3(rate=rate, mode=mode)
    sound = decode_sound(data)
    spf = mpeg.frame_at(data, 0).samples
    assert sound.seconds == pytest.approx(frames_of(data) * spf / rate)
    assert [each for each in sound.warnings if each.kind != "narrow_band"] == []


def test_files_that_were_joined_are_read_to_the_end():
    tagged = mp3(tagged=True)
    one = decode_sound(tagged)
    two = decode_sound(tagged + tagged)
    assert_allclose(two.samples, np.concatenate([one.samples, one.samples]))
    plain = mp3()
    assert decode_sound(plain + tagged).seconds == pytest.approx(
        decode_sound(plain).seconds + one.seconds
    )


@pytest.mark.parametrize("change", ["rate", "channels"])
def test_a_file_whose_rate_or_channels_change_is_read_to_the_end(change):
    both = np.stack([music(2), music(2)], axis=1)
    other = mp3(music(2, 22_050), 22_050) if change == "rate" else mp3(both)
    first = mp3(music(2))
    total = decode_sound(first).seconds + decode_sound(other).seconds
    assert decode_sound(first + other).seconds == pytest.approx(total)


TAG = b"ID3\x03\0\0\0\0\x07\x76" + bytes(1_014)


@pytest.mark.parametrize(
    "lead", [b"\0", bytes(1_000), bytes(300_000), TAG, TAG + TAG, bytes(10) + TAG, b"\xff\xff\xfb"]
)
def test_what_is_before_the_first_frame_is_not_sound(lead):
    data = mp3()
    assert_allclose(decode_sound(lead + data).samples, decode_sound(data).samples)


def test_a_radio_stream_taken_within_a_frame_begins_at_the_next_one():
    data = mp3(mode="CONSTANT")
    size = mpeg.frame_at(data, 0).size
    for cut in (1, 200, size - 1):
        frames = frames_of(data[size:])
        assert decode_sound(data[cut:]).seconds == pytest.approx(frames * 1_152 / RATE)


@pytest.mark.parametrize(
    "tail", [bytes(1), bytes(5_000), b"TAG" + bytes(125), b"APETAGEX" + bytes(60), TAG]
)
@pytest.mark.parametrize("tagged", [False, True])
def test_padding_and_tags_after_the_last_frame_are_not_sound(tail, tagged):
    data = mp3(tagged=tagged)
    sound = decode_sound(data + tail)
    assert_allclose(sound.samples, decode_sound(data).samples)
    assert sound.warnings == ()


def test_other_bytes_after_the_last_frame_are_told():
    sound = decode_sound(mp3() + b"the station of your heart" * 10)
    assert [each.kind for each in sound.warnings] == ["trailing"]


def test_a_last_frame_that_is_cut_is_told():
    sound = decode_sound(mp3()[:-5])
    assert [each.kind for each in sound.warnings] == ["truncated"]
    assert "5 bytes" in sound.warnings[0].detail


def test_a_hole_is_an_error_that_says_where_and_partial_reads_around_it():
    data = mp3(mode="CONSTANT")
    at, end = places_of(data)[20], places_of(data)[30]
    hurt = data[:at] + b"\x11" * (end - at) + data[end:]
    with pytest.raises(InputError, match=f"from byte {at} on"):
        decode_sound(hurt)
    sound = decode_sound(hurt, partial=True)
    assert [each.kind for each in sound.warnings] == ["truncated"]
    assert sound.seconds > decode_sound(data).seconds - 12 * 1_152 / RATE


def test_a_tag_that_promises_less_than_is_there_hides_nothing():
    data = mp3(tagged=True)
    more = data + mp3()
    assert decode_sound(more).seconds > 1.9 * decode_sound(data).seconds


def test_a_tag_that_promises_more_is_an_error_and_partial_takes_what_is_there():
    data = mp3(tagged=True)
    half = data[: len(data) // 2]
    with pytest.raises(InputError, match=r"truncated: the MP3 file promises \d+ bytes"):
        decode_sound(half)
    assert 1 < decode_sound(half, partial=True).seconds < 3


def test_random_bytes_are_no_mpeg_audio():
    for seed in range(20):
        noise = np.random.default_rng(seed).bytes(20_000)
        if noise[:2] != b"\xff\xfb":
            with pytest.raises(UnsupportedMedia):
                decode_sound(noise)


def header(*, version=3, layer=2, bits=10, rate=0, mono=True):
    return (
        0x7FF << 21
        | version << 19
        | (4 - layer) << 17
        | 1 << 16
        | bits << 12
        | rate << 10
        | (0xC0 if mono else 0)
    )


def layered(layer, version, bits, count):
    head = header(layer=layer, version=version, bits=bits)
    frame = mpeg.parse(head)
    return (head.to_bytes(4, "big") + bytes(frame.size - 4)) * count, frame


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("bits", [1, 5, 14])
def test_mp2_is_read_without_a_tag_before_it(version, bits):
    data, frame = layered(2, version, bits, 40)
    sound = decode_sound(data)
    assert sound.seconds == pytest.approx(40 * frame.samples / frame.rate)


def test_mp2_whose_bit_rate_changes_is_read_to_the_end():
    large, frame = layered(2, 3, 14, 5)
    small, _ = layered(2, 3, 3, 60)
    assert decode_sound(large + small).seconds == pytest.approx(65 * 1_152 / frame.rate)


@pytest.mark.parametrize(
    "bad",
    [
        header(version=1),
        header(layer=4),
        header(bits=15),
        header(rate=3),
        header() | 2,
        header() & ~(1 << 31),
    ],
)
def test_reserved_values_are_no_header(bad):
    assert mpeg.parse(header()) is not None
    assert mpeg.parse(bad) is None


def test_the_length_is_bounded_before_anything_is_decoded():
    data, _ = layered(2, 3, 5, 100)
    with pytest.raises(InputError, match="at most 2 s"):
        mpeg.segments(data, Notes(max_seconds=2))
    assert mpeg.segments(data, Notes(max_seconds=3))
