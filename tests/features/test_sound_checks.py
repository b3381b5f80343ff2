import io

import numpy as np
import pytest
import soundfile
from numpy.testing import assert_allclose

from features.decode import decode_sound

RATE = 22_050
TIME = np.arange(RATE) / RATE
TONE = 0.4 * np.sin(2 * np.pi * 440 * TIME) + 0.1 * np.sin(2 * np.pi * 8_000 * TIME)


def sound(samples, rate=RATE, subtype="FLOAT"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype=subtype)
    return decode_sound(file.getvalue())


def kinds(*args, **more):
    return [each.kind for each in sound(*args, **more).warnings]


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("gain", [1.0, 0.99, 1.01])
def test_of_opposite_channels_the_louder_is_used_and_that_is_told(subtype, gain):
    found = sound(np.stack([TONE, -gain * TONE], axis=1), subtype=subtype)
    louder = TONE if gain <= 1 else -gain * TONE
    assert_allclose(found.samples, louder, atol=1e-3)
    assert [each.kind for each in found.warnings] == ["opposite_channels"]


def test_two_pairs_of_opposite_channels_are_opposite():
    four = np.stack([TONE, -TONE, 0.5 * TONE, -0.5 * TONE], axis=1)
    assert kinds(four) == ["opposite_channels"]


@pytest.mark.parametrize("gain", [0.5, 0.9, 0.0, -1.0])
def test_channels_that_are_not_opposite_are_averaged(gain):
    found = sound(np.stack([TONE, -gain * TONE], axis=1))
    assert_allclose(found.samples, (1 - gain) / 2 * TONE, atol=1e-6)
    assert found.warnings == ()


def test_a_stretch_of_opposite_channels_is_found_within_a_long_sound():
    long = np.tile(TONE, 20)
    both = np.stack([long, long], axis=1)
    both[8 * RATE : 14 * RATE, 1] *= -1
    found = sound(both)
    assert [each.kind for each in found.warnings] == ["opposite_channels"]
    assert np.abs(found.samples[10 * RATE : 12 * RATE]).max() > 0.3


@pytest.mark.parametrize(("level", "expected"), [(0.9e-4, ["silence"]), (1.1e-4, [])])
def test_silence_is_told_below_80_db(level, expected):
    assert kinds(level * TONE / np.abs(TONE).max()) == expected


@pytest.mark.parametrize(("count", "expected"), [(22, []), (23, ["clipping"])])
@pytest.mark.parametrize("subtype", ["FLOAT", "PCM_16"])
def test_clipping_is_told_beyond_a_thousandth(count, expected, subtype):
    samples = TONE.copy()
    samples[100 : 100 + count] = 1.0
    assert kinds(samples, subtype=subtype) == expected


@pytest.mark.parametrize(
    ("mean", "expected"), [(0.049, []), (0.051, ["dc_offset"]), (-0.06, ["dc_offset"])]
)
def test_an_offset_is_told_beyond_a_twentieth(mean, expected):
    assert kinds(TONE + mean) == expected


@pytest.mark.parametrize(
    ("rate", "expected"), [(8_000, True), (11_025, True), (11_026, False), (16_000, False)]
)
def test_a_low_rate_is_told(rate, expected):
    assert ("narrow_band" in kinds(TONE, rate)) is expected


@pytest.mark.parametrize(("seconds", "expected"), [(9, []), (11, ["narrow_band"])])
def test_a_sound_converted_from_a_lower_rate_is_told_if_it_is_long_enough(seconds, expected):
    time = np.arange(seconds * 48_000) / 48_000
    assert kinds(0.4 * np.sin(2 * np.pi * 500 * time), 48_000) == expected
    assert (
        kinds(0.4 * np.sin(2 * np.pi * 500 * time) + 0.01 * np.sin(2 * np.pi * 15e3 * time), 48_000)
        == []
    )


def test_a_good_sound_has_no_warning():
    assert kinds(TONE) == []
    assert kinds(np.stack([TONE, 0.5 * TONE], axis=1)) == []
