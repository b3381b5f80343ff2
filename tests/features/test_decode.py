import io
import struct
from contextlib import suppress

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from common.errors import InputError, Late, TooLarge, Unprocessable, UnsupportedMedia
from features.containers.notes import MAX_PARTS
from features.decode import MAX_SAMPLES, decode

KINDS = [
    ("WAV", "PCM_16", 44_100),
    ("WAV", "PCM_U8", 8_000),
    ("WAV", "PCM_24", 96_000),
    ("WAV", "FLOAT", 22_050),
    ("RF64", "PCM_16", 44_100),
    ("FLAC", "PCM_16", 44_100),
    ("OGG", "VORBIS", 44_100),
    ("OGG", "OPUS", 48_000),
    ("MP3", "MPEG_LAYER_III", 44_100),
]


def tone(rate, *, seconds=1.0, hertz=440):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)).astype(
        np.float32
    )


def encode(samples, rate=44_100, kind="WAV", subtype="PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


def silence(rate, *, seconds, channels, kind, subtype=None):
    """A file, written second by second: libsndfile's Vorbis crashes on long writes."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, channels, format=kind, subtype=subtype) as out:
        for _ in range(seconds):
            out.write(np.zeros((rate, channels), np.float32))
    return file.getvalue()


@pytest.mark.parametrize(("kind", "subtype", "rate"), KINDS)
def test_every_kind_comes_back_as_the_same_sound(kind, subtype, rate):
    sound = decode(encode(tone(rate), rate, kind, subtype))
    assert sound.dtype == np.float32
    assert abs(sound.size - 22_050) <= 2
    middle = sound[4_000:18_000]
    assert np.sqrt(np.mean(middle**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert np.argmax(np.abs(np.fft.rfft(sound[:22_048]))) == pytest.approx(440, abs=1)


@pytest.mark.parametrize(("kind", "subtype", "rate"), KINDS)
@pytest.mark.parametrize("share", [0.999, 0.6, 0.1, 0.01])
def test_a_file_that_is_cut_short_is_rejected(kind, subtype, rate, share):
    data = encode(tone(rate), rate, kind, subtype)
    with pytest.raises((InputError, Unprocessable)) as caught:
        decode(data[: int(len(data) * share)])
    assert "truncated" in str(caught.value) or "not a sound file" in str(caught.value)


def test_channels_are_averaged():
    both = np.stack([tone(22_050), -tone(22_050)], axis=1)
    assert_allclose(decode(encode(both, 22_050)), tone(22_050), atol=1e-4)
    left = np.stack([tone(22_050), 0 * tone(22_050)], axis=1)
    assert_allclose(decode(encode(left, 22_050)), tone(22_050) / 2, atol=1e-4)


def test_nothing_is_rejected_by_name():
    with pytest.raises(InputError, match="empty"):
        decode(b"")


@pytest.mark.parametrize(
    "data", [b"hello, world" * 20, b"\x89PNG\r\n\x1a\n" + bytes(100), b"{}", bytes(200)]
)
def test_what_is_no_sound_is_rejected_with_the_kinds_that_are_read(data):
    with pytest.raises(UnsupportedMedia, match="WAV, FLAC, OGG, MP3"):
        decode(data)


def test_a_file_without_samples_is_rejected():
    with pytest.raises(Unprocessable, match="no samples"):
        decode(encode(tone(44_100)[:0]))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite_are_rejected(value):
    sound = tone(44_100)
    sound[30_000] = value
    with pytest.raises(Unprocessable, match="NaN, infinity or far beyond"):
        decode(encode(sound, subtype="FLOAT"))


def test_the_longest_sound_is_read_and_one_sample_more_is_rejected():
    assert decode(encode(tone(8_000, seconds=2), 8_000), max_seconds=2).size == 44_100
    with pytest.raises(TooLarge, match="at most 2 s"):
        decode(encode(np.append(tone(8_000, seconds=2), 0), 8_000), max_seconds=2)


@pytest.mark.parametrize(("kind", "subtype"), [(kind, subtype) for kind, subtype, _ in KINDS])
def test_samples_are_counted_over_all_channels_for_every_kind(kind, subtype):
    data = silence(48_000, seconds=1, channels=2, kind=kind, subtype=subtype)
    with soundfile.SoundFile(io.BytesIO(data)) as file:
        samples = file.frames * file.channels
    assert decode(data, max_samples=samples).size > 0
    with pytest.raises(TooLarge, match=f"x 2 channels = {samples}: at most {samples - 1}"):
        decode(data, max_samples=samples - 1)


@pytest.mark.parametrize(
    ("kind", "rate", "channels", "seconds"),
    [("FLAC", 384_000, 8, 19), ("WAV", 384_000, 64, 3)],
)
def test_a_file_within_all_other_bounds_is_rejected_for_its_channels_and_rate(
    kind, rate, channels, seconds
):
    data = silence(rate, seconds=seconds, channels=channels, kind=kind)
    with pytest.raises(TooLarge, match=f"at most {MAX_SAMPLES}"):
        decode(data)


def test_training_may_decode_any_number_of_samples():
    data = encode(np.zeros((1_000, 64), np.float32), 8_000)
    assert decode(data, max_samples=None).size == decode(data).size


@pytest.mark.parametrize(("kind", "subtype"), [(kind, subtype) for kind, subtype, _ in KINDS])
def test_decoding_stops_within_a_block_once_the_check_raises(kind, subtype):
    data = silence(8_000, seconds=150, channels=2, kind=kind, subtype=subtype)
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 2:
            raise Late("nobody waits")

    with pytest.raises(Late, match="nobody waits"):
        decode(data, check=check)
    assert len(calls) == 2


@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
@pytest.mark.parametrize("level", [16.5, 1e6, 1e18, 3e38])
def test_floats_that_are_not_audio_are_rejected(subtype, level):
    sound = np.stack([tone(22_050) * level, -tone(22_050) * level], axis=1) / 0.5
    with pytest.raises(Unprocessable, match="far beyond"):
        decode(encode(sound.astype(np.float64), 22_050, subtype=subtype))


def test_loud_floats_up_to_16_are_audio():
    assert decode(encode(np.full(100, 16, np.float32), 22_050, subtype="FLOAT")).max() == 16


def test_chunks_and_pages_are_bounded():
    whole = encode(tone(8_000), 8_000)
    empty = b"junk" + bytes(4)
    with pytest.raises(Unprocessable, match=f"more than {MAX_PARTS} chunks or pages"):
        decode(whole[:12] + empty * MAX_PARTS + whole[12:])
    assert decode(whole[:12] + empty * 1_000 + whole[12:]).size == decode(whole).size
    page = b"OggS" + bytes(23)
    with pytest.raises(Unprocessable, match=f"more than {MAX_PARTS} chunks or pages"):
        decode(page * (MAX_PARTS + 1))


def test_a_small_file_that_unpacks_to_hours_is_rejected():
    data = encode(np.zeros(8_000 * 3_600, np.int16), 8_000, "FLAC")
    assert len(data) < 200_000
    with pytest.raises(TooLarge, match=r"3600\.0 s"):
        decode(data)


def test_a_header_that_promises_gigabytes_is_rejected():
    head = struct.pack(
        "<4sI4s4sIHHIIHH", b"RIFF", 0xFFFFFFF0, b"WAVE", b"fmt ", 16, 1, 1, 44_100, 88_200, 2, 16
    )
    with pytest.raises(InputError, match="promises 4294967280 bytes"):
        decode(head + struct.pack("<4sI", b"data", 0xFFFFFFF0) + bytes(56))


def through_a_pipe(whole, size, file_size):
    at = whole.index(b"data") + 4
    return (
        whole[:4]
        + struct.pack("<I", file_size)
        + whole[8:at]
        + struct.pack("<I", size)
        + whole[at + 4 :]
    )


PIPED = [
    (0xFFFFFFFF, 0xFFFFFFFF),
    (0x80000000, 0x80000024),
    (0x7FFFFF00, 0x7FFFFF24),
    (0x7FFFF000, 0x7FFFF024),
]


@pytest.mark.parametrize(("size", "file_size"), PIPED)
def test_a_recording_that_came_through_a_pipe_is_as_long_as_it_is(size, file_size):
    whole = encode(tone(22_050), 22_050)
    assert_allclose(decode(through_a_pipe(whole, size, file_size)), decode(whole))


@pytest.mark.parametrize(
    ("size", "file_size"),
    [
        (0xFFFFFFFE, 0xFFFFFFFF),
        (0x80000001, 0x80000025),
        (0x7FFFEFFF, 0x7FFFF023),
        (0x80000000, 0x80000023),
        (0x7FFFF000, 44_000),
    ],
)
def test_a_size_that_is_not_there_and_means_nothing_else_is_rejected(size, file_size):
    with pytest.raises(InputError, match=f"promises {size} bytes"):
        decode(through_a_pipe(encode(tone(22_050), 22_050), size, file_size))


def test_a_flac_header_that_promises_days_is_rejected():
    data = bytearray(encode(tone(44_100), kind="FLAC")[:100])
    data[21] |= 0x0F
    data[22:26] = b"\xff\xff\xff\xff"
    with pytest.raises((TooLarge, InputError)):
        decode(bytes(data))


@pytest.mark.parametrize(
    ("rate", "good"), [(999, False), (1_000, True), (384_000, True), (384_001, False)]
)
def test_the_bounds_of_the_rate_hold_at_both_sides(rate, good):
    data = encode(tone(rate, hertz=100), rate)
    if good:
        assert abs(decode(data).size - 22_050) <= 25
    else:
        with pytest.raises(Unprocessable, match=f"sample rate {rate}"):
            decode(data)


@pytest.mark.parametrize(("channels", "good"), [(64, True), (65, False)])
def test_the_bound_of_the_channels_holds_at_both_sides(channels, good):
    data = encode(np.zeros((1_000, channels), np.float32))
    if good:
        assert decode(data).size == 500
    else:
        with pytest.raises(Unprocessable, match="65 channels"):
            decode(data)


def test_random_damage_never_escapes_as_another_error():
    rng = np.random.default_rng(0)
    files = [
        encode(tone(8_000, seconds=0.3), 8_000, kind, sub)
        for kind, sub, _ in KINDS
        if sub != "OPUS"
    ]
    for data in files:
        for _ in range(40):
            bad = bytearray(data)
            for place in rng.integers(0, len(bad), 5):
                bad[place] = rng.integers(256)
            # Any other error fails the test.
            with suppress(InputError):
                assert np.isfinite(decode(bytes(bad))).all()
