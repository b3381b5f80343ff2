"""Bytes to samples and back, for every encoding of the table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.errors import InputError, Unprocessable
from service.encodings import ENCODINGS, decode_mono, encode, frame_bytes

STEPS = {"pcm_s16le": 1 / 32_768, "pcm_s24le": 2**-23, "pcm_s32le": 2**-31, "pcm_f32le": 0}
"""Quantisation step: a new encoding names its own here."""
SAMPLES = arrays(np.float32, st.integers(0, 300), elements=st.floats(-1, 1, width=32))


def test_every_encoding_has_its_step():
    assert STEPS.keys() == ENCODINGS.keys()


@pytest.mark.parametrize("name", ENCODINGS)
@given(samples=SAMPLES)
def test_decoded_samples_are_those_encoded_within_the_quantisation_step(name, samples):
    data = encode(samples, encoding=name, channels=1)
    assert len(data) == ENCODINGS[name].sample_bytes * len(samples)
    decoded = decode_mono(data, encoding=name, channels=1)
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, samples, rtol=0, atol=STEPS[name])


@pytest.mark.parametrize("name", ENCODINGS)
@given(samples=SAMPLES)
def test_bytes_survive_decoding_and_encoding(name, samples):
    data = encode(samples, encoding=name, channels=1)
    assert encode(decode_mono(data, encoding=name, channels=1), encoding=name, channels=1) == data


@pytest.mark.parametrize("name", ENCODINGS)
def test_channels_are_averaged(name):
    frames = np.array([[0.5, 0.25, 0.0], [-0.5, 0.5, 0.75]])
    data = encode(frames, encoding=name, channels=3)
    assert decode_mono(memoryview(data), encoding=name, channels=3).tolist() == [0.25, 0.25]


@pytest.mark.parametrize("name", ENCODINGS)
@pytest.mark.parametrize("channels", [1, 2])
def test_bytes_that_end_within_a_sample_are_rejected(name, channels):
    size = frame_bytes(name, channels)
    with pytest.raises(InputError, match=rf"{size + 1} bytes.*{name} x {channels}"):
        decode_mono(bytes(size + 1), encoding=name, channels=channels)


@pytest.mark.parametrize("call", [decode_mono, encode])
def test_an_unknown_encoding_is_no_encoding(call):
    with pytest.raises(KeyError, match="mp3"):
        call(b"" if call is decode_mono else [0.5], encoding="mp3", channels=1)


def test_16_bit_full_scale_is_one():
    data = np.array([-32_768, 0, 16_384, 32_767], "<i2").tobytes()
    samples = decode_mono(data, encoding="pcm_s16le", channels=1)
    assert samples.tolist() == [-1.0, 0.0, 0.5, 32_767 / 32_768]


def test_samples_above_full_scale_are_clipped_in_16_bits_and_kept_in_floats():
    loud = [0.0, 0.5, 1.0, -1.0, 7.0]
    expected = np.array([0, 16_384, 32_767, -32_768, 32_767], "<i2").tobytes()
    assert encode(loud, encoding="pcm_s16le", channels=1) == expected
    data = encode(loud, encoding="pcm_f32le", channels=1)
    assert decode_mono(data, encoding="pcm_f32le", channels=1).tolist() == loud


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 32_767.0, 1e38])
def test_floats_that_are_not_audio_are_rejected(value):
    with pytest.raises(Unprocessable):
        decode_mono(np.array([0, value], "<f4").tobytes(), encoding="pcm_f32le", channels=1)


@pytest.mark.parametrize("wrong", [[1, 2, 3], [[0.5, 0.5]], 0.5])
def test_only_float_samples_of_the_right_shape_are_encoded(wrong):
    with pytest.raises(InputError, match="float samples"):
        encode(wrong, encoding="pcm_s16le", channels=1)
