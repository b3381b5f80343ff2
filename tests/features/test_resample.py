import numpy as np
import pytest
from numpy.testing import assert_array_equal

from features.resample import PIECE, UNEVEN, StreamingResampler, aligned, resample
from tests.features import oracle

RATES = [8_000, 11_025, 16_000, 32_000, 44_100, 48_000, 96_000, 192_000]


@pytest.mark.parametrize("rate", RATES)
def test_the_output_does_not_depend_on_the_chunks(rate):
    sound = np.random.default_rng(0).standard_normal(rate).astype(np.float32)
    outputs = []
    for sizes in [(rate,), (1, 17, 4_000), (rate // 50,)]:
        resampler, at, parts = StreamingResampler(rate, 22_050), 0, []
        while at < sound.size:
            size = sizes[len(parts) % len(sizes)]
            parts.append(resampler.feed(sound[at : at + size]))
            at += size
        outputs.append(np.concatenate([*parts, resampler.finish()]))
    assert outputs[0].size == 22_050
    for output in outputs[1:]:
        assert_array_equal(output, outputs[0])


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 2 * PIECE, 3 * PIECE + 1])
def test_a_chunk_that_is_converted_in_pieces_gives_what_the_whole_gives(size):
    sound, resampler = oracle.noise(2)[:size], StreamingResampler(16_000, 22_050)
    output = np.concatenate([resampler.feed(sound), resampler.finish()])
    assert_array_equal(output, resample(sound, 16_000, 22_050))


def test_a_tone_keeps_its_frequency_and_level():
    tone = np.sin(2 * np.pi * 1_000 * np.arange(48_000) / 48_000).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(resample(tone, 48_000, 22_050)))
    assert np.argmax(spectrum) == 1_000
    assert spectrum[1_000] / 11_025 == pytest.approx(1, abs=1e-3)


def test_what_the_lower_rate_cannot_hold_is_filtered_out():
    tone = np.sin(2 * np.pi * 15_000 * np.arange(48_000) / 48_000).astype(np.float32)
    assert np.abs(resample(tone, 48_000, 22_050)[2_000:-2_000]).max() < 1e-3


def test_equal_rates_pass_through():
    assert_array_equal(resample(oracle.noise(0), 22_050, 22_050), oracle.noise(0))


@pytest.mark.parametrize(
    ("rate", "step"), [(44_100, 2), (48_000, 320), (22_050, 1), (16_000, 320), (8_000, 160)]
)
def test_aligned_instants_fall_on_a_sample_of_both_rates(rate, step):
    assert aligned(rate, 22_050) == step
    assert step * 22_050 % rate == 0


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 44_100, 44_101, 48_000, 96_000, 192_000])
def test_the_input_for_an_output_is_known_to_a_millisecond(rate):
    resampler, fed, step = StreamingResampler(rate, 22_050), 0, rate // 1_000
    ready = [(0, 0)]
    for _ in range(4_000):
        fed += step
        count = ready[-1][1] + len(resampler.feed(np.zeros(step, np.float32)))
        ready.append((fed, count))
    for wanted in range(1, 80_000, 997):
        exact = next(fed for fed, count in ready if count >= wanted)
        earliest = next(fed for fed, count in ready if count >= wanted - 2 * UNEVEN)
        assert earliest - 2 * step <= resampler.input_for(wanted) <= exact + step
