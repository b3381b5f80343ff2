"""Bytes to samples."""

import numpy as np
import pytest

from common.errors import InputError, Unprocessable
from service.streaming import pcm


def test_16_bit_full_scale_is_one():
    data = np.array([-32_768, 0, 16_384, 32_767], "<i2").tobytes()
    assert pcm.mono(data, encoding="pcm_s16le", channels=1).tolist() == [
        -1.0,
        0.0,
        0.5,
        32_767 / 32_768,
    ]


def test_floats_come_as_they_are():
    data = np.array([-1.5, 0.25], "<f4").tobytes()
    assert pcm.mono(memoryview(data), encoding="pcm_f32le", channels=1).tolist() == [-1.5, 0.25]


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le"])
def test_channels_are_averaged(encoding):
    frames = np.array([[0.5, 0.25, 0.0], [-0.5, 0.5, 0.75]])
    data = (frames * 32_768).astype("<i2") if encoding == "pcm_s16le" else frames.astype("<f4")
    samples = pcm.mono(data.tobytes(), encoding=encoding, channels=3)
    assert samples.dtype == np.float32
    assert samples.tolist() == [0.25, 0.25]


@pytest.mark.parametrize(
    ("size", "encoding", "channels"),
    [(3, "pcm_s16le", 1), (6, "pcm_s16le", 2), (6, "pcm_f32le", 1)],
)
def test_bytes_that_end_within_a_sample_are_refused(size, encoding, channels):
    with pytest.raises(InputError, match=f"{size} bytes"):
        pcm.mono(bytes(size), encoding=encoding, channels=channels)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 32_767.0, 1e38])
def test_floats_that_are_no_audio_are_refused(value):
    with pytest.raises(Unprocessable):
        pcm.mono(np.array([0, value], "<f4").tobytes(), encoding="pcm_f32le", channels=1)


@pytest.mark.parametrize(
    ("data", "kind"), [(b"RIFF\0\0", "WAV"), (b"fLaC", "FLAC"), (b"OggS", "Ogg"), (b"ID3\4", "MP3")]
)
def test_files_are_known_by_how_they_begin(data, kind):
    assert pcm.header(data) == kind


def test_sound_is_no_file():
    assert pcm.header(bytes(4)) is None
    assert pcm.header(b"") is None
