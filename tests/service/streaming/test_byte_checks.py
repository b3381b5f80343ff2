import io

import numpy as np
import pytest
import soundfile

from features.containers.matroska import EBML
from service.encodings import ENCODINGS, encode
from service.streaming.byte_checks import ByteChecker, suspicion

RATE = 44_100
TIME = np.arange(RATE) / RATE
MUSIC = sum(0.2 / n * np.sin(2 * np.pi * 220 * n * TIME) for n in range(1, 9))
MUSIC += np.random.default_rng(0).normal(0, 0.002, RATE)
STEREO = np.stack([MUSIC, 0.7 * np.roll(MUSIC, 300)], axis=1)


def raw(samples, dtype, scale):
    return np.round(samples * scale).astype(dtype).tobytes()


def s24(samples):
    whole = np.round(samples * 2**23).astype("<i4")
    return whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


SENT = {
    "32-bit floats": MUSIC.astype("<f4").tobytes(),
    "24-bit": s24(MUSIC),
    "32-bit integers": raw(MUSIC, "<i4", 2**31),
    "big-endian": raw(MUSIC, ">i2", 32_768),
    "two interleaved channels": raw(STEREO, "<i2", 32_768),
}


@pytest.mark.parametrize(("name", "data"), SENT.items())
def test_bytes_that_are_not_what_was_said_are_named(name, data):
    found = suspicion(data[:RATE], encoding="pcm_s16le", channels=1)
    assert name in found
    assert "`start` said" in found


@pytest.mark.parametrize("gain", [1.0, 0.001])
def test_quiet_floats_are_named_too(gain):
    data = (gain * MUSIC).astype("<f4").tobytes()
    assert "floats" in suspicion(data[:RATE], encoding="pcm_s16le", channels=1)


def test_equal_channels_sent_as_one_are_named():
    both = raw(np.stack([MUSIC, MUSIC], axis=1), "<i2", 32_768)
    assert "two interleaved" in suspicion(both[:RATE], encoding="pcm_s16le", channels=1)


@pytest.mark.parametrize("sent", ["pcm_s16le", "pcm_s24le", "pcm_s32le"])
@pytest.mark.parametrize("said", ["pcm_s16le", "pcm_s24le", "pcm_s32le"])
def test_integers_of_another_width_are_named(sent, said):
    data = encode(MUSIC, encoding=sent, channels=1)[: 4 * 3 * 4_000]
    found = suspicion(data, encoding=said, channels=1)
    assert (sent in found) is (sent != said)


def honest():
    rng = np.random.default_rng(1)
    yield "music", MUSIC
    yield "quiet music", 0.001 * MUSIC
    yield "noise", rng.normal(0, 0.1, RATE)
    yield "loud noise", np.clip(rng.normal(0, 0.5, RATE), -1, 1)
    yield "dither", rng.integers(-1, 2, RATE) / 32_768
    yield "silence", np.zeros(RATE)
    yield "a constant", np.full(RATE, 0.5)
    yield "clicks", np.where(np.arange(RATE) % 5_000 == 0, 0.9, 0.0)
    yield "a high tone", 0.3 * np.sin(2 * np.pi * 9_000 * TIME)
    yield "clipped music", np.clip(20 * MUSIC, -1, 0.9999)
    yield "loud constant", np.full(RATE, 0.45) + rng.normal(0, 0.001, RATE)


@pytest.mark.parametrize(("name", "samples"), [*honest()])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("channels", [1, 2])
def test_sound_that_is_what_was_said_is_not_suspected(name, samples, encoding, channels):
    shaped = samples if channels == 1 else np.stack([samples, 0.5 * np.roll(samples, 99)], axis=1)
    data = encode(shaped, encoding=encoding, channels=channels)
    assert suspicion(data, encoding=encoding, channels=channels) == "", name


def file_of(kind):
    file = io.BytesIO()
    soundfile.write(file, MUSIC, RATE, format=kind)
    return file.getvalue()


FILES = {
    "WAV": file_of("WAV"), "FLAC": file_of("FLAC"), "Ogg": file_of("OGG"), "AIFF": file_of("AIFF"),
    "MP3": file_of("MP3"), "CAF": file_of("CAF"), "M4A": b"\0\0\0\x20ftypM4A " + bytes(40),
    "WebM": EBML.to_bytes(4, "big") + bytes(40), "AAC": b"\xff\xf1\x50\x80" + bytes(40),
}  # fmt: skip


@pytest.mark.parametrize(("name", "data"), FILES.items())
def test_a_file_is_named_at_its_first_message(name, data):
    checker = ByteChecker(encoding="pcm_s16le", channels=1, sample_rate=RATE)
    first, *more = checker.feed(data[:2_000], at=7)
    assert (first.kind, first.from_sample, more) == ("header", 7, [])
    assert name in first.detail
    assert checker.feed(data[2_000:4_000], at=1_007) == []


@pytest.mark.parametrize("size", [1_764, 44_100, 400_000])
def test_the_first_half_second_is_checked_once_whatever_the_messages(size):
    checker = ByteChecker(encoding="pcm_s16le", channels=1, sample_rate=RATE)
    data = SENT["32-bit floats"]
    found = []
    for at in range(0, len(data), size):
        found += checker.feed(data[at : at + size], at=at)
    assert [each.kind for each in found] == ["encoding"]


def test_less_than_half_a_second_is_not_judged():
    checker = ByteChecker(encoding="pcm_s16le", channels=1, sample_rate=RATE)
    assert checker.feed(SENT["32-bit floats"][:44_098], at=0) == []
    assert len(checker.feed(SENT["32-bit floats"][:2], at=0)) == 1
