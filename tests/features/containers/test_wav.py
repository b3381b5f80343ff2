import io
import struct

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_array_equal

from features.containers.wav import read_pcm
from features.decode import decode
from features.levels import MAX_FLOAT

RATE = 22_050


def noise(frames, channels, *, seed=0):
    return np.random.default_rng(seed).integers(-(2**15), 2**15, (frames, channels), np.int16)


def wav(sound, *, tag=1, rate=RATE, extra=b"", before=b"", after=b"", size=None, frame=None):
    """A WAV file. extra: at the end of the format; before, after: chunks around the sound."""
    bits, channels = 8 * sound.itemsize, sound.shape[1]
    frame = frame or channels * bits // 8
    layout = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits) + extra
    body = sound.tobytes()
    size = len(body) if size is None else size
    parts = chunk(b"fmt ", layout) + before + struct.pack("<4sI", b"data", size) + body + after
    return b"RIFF" + struct.pack("<I", 4 + len(parts)) + b"WAVE" + parts


def chunk(name, body):
    return struct.pack("<4sI", name, len(body)) + body


def by_libsndfile(data):
    return soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 64])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_plain_files_have_the_very_samples_that_libsndfile_reads(channels, dtype):
    sound = noise(1_001, channels)
    if dtype == "float32":
        sound = sound.astype(np.float32) * np.float32(MAX_FLOAT / 2**15)
    data = wav(sound, tag=1 if dtype == "int16" else 3)
    pcm = read_pcm(data)
    assert pcm is not None
    assert (pcm.samplerate, pcm.channels, pcm.frames) == (RATE, channels, 1_001)
    read, rate = by_libsndfile(data)
    assert rate == RATE
    scale = np.float32(2**-15) if dtype == "int16" else np.float32(1)
    assert_array_equal(pcm.values.astype(np.float32) * scale, read)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 64])
@pytest.mark.parametrize("rate", [RATE, 44_100])
def test_a_plain_file_is_decoded_as_libsndfile_decodes_the_same_sound(channels, rate):
    sound = noise(50_000, channels)
    ours = wav(sound, rate=rate)
    theirs = wav(sound, rate=rate, before=chunk(b"bext", bytes(602)))  # no plain file
    assert read_pcm(ours) is not None
    assert read_pcm(theirs) is None
    assert_array_equal(decode(ours), decode(theirs))


@pytest.mark.parametrize(
    "options",
    [
        {"extra": bytes(2)},
        {"before": chunk(b"LIST", b"INFOISFT\x02\x00\x00\x00a\x00")},
        {"before": chunk(b"fact", bytes(4)), "after": chunk(b"LIST", b"INFO")},
        {"after": b"???"},
    ],
)
def test_files_with_chunks_that_do_not_change_the_sound_are_plain(options):
    sound = noise(100, 2)
    data = wav(sound, **options)
    pcm = read_pcm(data)
    assert pcm is not None
    assert_array_equal(pcm.values, sound)
    assert_array_equal(by_libsndfile(data)[0], sound.astype(np.float32) / 2**15)


def test_a_last_frame_that_is_cut_is_no_sample():
    data = wav(noise(100, 2), size=398)
    assert read_pcm(data).frames == len(by_libsndfile(data)[0]) == 99


def test_sound_at_an_odd_place_is_read_from_an_aligned_copy():
    sound = noise(100, 1).astype(np.float32) / 2**15
    data = wav(sound, tag=3, extra=bytes(2))
    pcm = read_pcm(data)
    assert pcm.values.flags.aligned
    assert_array_equal(pcm.values, sound)


@pytest.mark.parametrize(
    "data",
    [
        wav(noise(10, 1).astype(np.int32)),
        wav(noise(10, 1).astype(np.uint8)),
        wav(noise(10, 1), tag=3),
        wav(noise(10, 1), tag=0xFFFE, extra=bytes(24)),
        wav(noise(10, 2), frame=2),
        wav(noise(10, 1), rate=0),
        wav(noise(10, 1), size=0xFFFFFFFF),
        wav(noise(10, 1), before=chunk(b"fmt ", bytes(16))),
        wav(noise(10, 1), before=chunk(b"ds64", bytes(28))),
        b"RF64" + wav(noise(10, 1))[4:],
        b"RIFF\x24\x00\x00\x00WAVE" + chunk(b"data", bytes(16)),
        b"RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00",
        b"RIFF\x24\x00\x00\x00WAVE",
    ],
)
def test_what_is_not_plain_is_left_to_libsndfile(data):
    assert read_pcm(data) is None
