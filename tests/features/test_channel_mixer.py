"""Of opposite channels the louder is heard, from wherever they are, however the sound is cut."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from features.mixdown import SPAN_S, ChannelMixer

RATE = 8_000
SPAN = round(SPAN_S * RATE)
TIME = np.arange(4 * RATE) / RATE
TONE = (0.4 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)
SAME = np.stack([TONE, TONE], axis=1)
OPPOSITE = np.stack([TONE, -TONE], axis=1)


def mixed(values, cuts=(), rate=RATE, first=0):
    mixer = ChannelMixer(channels=values.shape[1], rate=rate, first=first)
    bounds = [0, *sorted(cuts), len(values)]
    parts, begins = [], []
    for a, b in pairwise(bounds):
        parts.append(mixer.feed(values[a:b]))
        begins += mixer.opposite_from
    return np.concatenate([*parts, mixer.finish()]), mixer.opposite, begins


def sound(seed, *, integers):
    """Stretches that are opposite, equal, silent, or opposite with the second channel louder."""
    random = np.random.default_rng(seed)
    ways = np.repeat(random.integers(0, 4, 16), 2_000)[: len(TONE), None]
    left = np.array([1, 1, 0, 1])[ways[:, 0]] * TONE
    right = np.array([-1, 1, 0, -2])[ways[:, 0]] * TONE
    values = np.stack([left, right], axis=1).astype(np.float32)
    return (values * 32_767).astype(np.int16) if integers else values


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1_000),
    cuts=st.lists(st.integers(0, len(TONE)), max_size=40),
    first=st.integers(0, 10_000),
    integers=st.booleans(),
)
def test_the_samples_do_not_depend_on_how_the_sound_is_cut(seed, cuts, first, integers):
    values = sound(seed, integers=integers)
    whole, *told = mixed(values, first=first)
    parts, *told_of_parts = mixed(values, cuts, first=first)
    assert_array_equal(whole, parts)
    assert told == told_of_parts
    assert len(whole) == len(values)


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 48_000, 192_000])
@pytest.mark.parametrize("hertz", [100, 440, 500, 1_000, 3_000])
def test_tones_of_any_rate_are_found_from_the_first_sample(rate, hertz):
    tone = np.sin(2 * np.pi * hertz * np.arange(rate) / rate).astype(np.float32)
    samples, opposite, begins = mixed(np.stack([tone, -tone], axis=1), rate=rate)
    assert_array_equal(samples, tone)
    assert (opposite, begins[0]) == (rate, 0)


@pytest.mark.parametrize("begin", [SPAN // 2, SPAN - 1, SPAN, 3 * SPAN, 3 * SPAN + SPAN // 4])
def test_opposition_in_the_middle_is_heard_after_a_span_at_most_two(begin):
    values = SAME.copy()
    values[begin:, 1] *= -1
    samples, _, begins = mixed(values)
    assert_array_equal(samples[:begin], TONE[:begin])
    late = -(-begin // SPAN) * SPAN + SPAN
    assert_array_equal(samples[late:], TONE[late:])
    assert begins == [*range(late, len(TONE) + 1, SPAN)]


def test_after_opposition_the_mean_is_heard_again():
    values = OPPOSITE.copy()
    values[RATE:, 1] = 0
    samples, opposite, _ = mixed(values)
    assert_allclose(samples[RATE + SPAN :], TONE[RATE + SPAN :] / 2)
    assert opposite == RATE + SPAN


def test_silence_between_opposite_sounds_changes_nothing():
    values = OPPOSITE.copy()
    values[RATE : 2 * RATE] = 0
    assert_array_equal(mixed(values)[0], values[:, 0])


@pytest.mark.parametrize(("level", "found"), [(1e-4, False), (2e-4, True)])
def test_silence_has_no_opposite_channels(level, found):
    assert bool(mixed(level * OPPOSITE / 0.4)[1]) is found


@pytest.mark.parametrize(("gain", "found"), [(0.94, True), (0.93, False)])
def test_channels_are_opposite_while_their_mean_has_a_thousandth_of_their_power(gain, found):
    values = OPPOSITE * np.float32([1, gain])
    assert bool(mixed(values)[1]) is found


def test_the_louder_channel_is_kept_until_another_is_twice_as_loud():
    values = OPPOSITE.copy()
    values[2 * RATE :] = np.stack([0.97 * TONE, -TONE], axis=1)[2 * RATE :]
    assert_array_equal(mixed(values)[0], values[:, 0])
    assert_array_equal(mixed(values[2 * RATE :])[0], values[2 * RATE :, 1])
    four = np.stack([TONE, -TONE, 3 * TONE, -3 * TONE], axis=1)
    four[: 2 * RATE, 2:] = 0
    assert_array_equal(mixed(four)[0][2 * RATE + SPAN :], four[2 * RATE + SPAN :, 2])


def test_only_the_first_span_waits():
    mixer = ChannelMixer(channels=2, rate=RATE)
    assert len(mixer.feed(SAME[: SPAN - 1])) == 0
    assert len(mixer.feed(SAME[SPAN - 1 : SPAN])) == SPAN
    assert len(mixer.feed(SAME[SPAN : SPAN + 1])) == 1
    assert len(mixer.finish()) == 0


def test_one_channel_waits_for_nothing():
    mixer = ChannelMixer(channels=1, rate=RATE)
    assert_array_equal(mixer.feed(SAME[:7, :1]), TONE[:7])
    assert len(mixer.finish()) == 0
