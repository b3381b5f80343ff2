"""The mean over channels is numpy's, whatever their number, type and place in memory."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from features.mixdown import mixdown

CHANNELS = [1, 2, 3, 6, 8, 64]
SIZES = [0, 1, 15, 16, 17, 4_411]


def values(size, channels, dtype):
    noise = np.random.default_rng(size).integers(-32_768, 32_768, size * channels)
    return noise.astype(np.int16) if dtype == "int16" else (noise / 30_000).astype(np.float32)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_16_bits_become_the_mean_in_parts_of_full_scale(size, channels):
    samples = values(size, channels, "int16")
    mono = mixdown(samples, channels=channels)
    exact = samples.reshape(-1, channels).sum(axis=1) / 32_768 / channels
    assert mono.dtype == np.float32
    assert_array_equal(mono, exact.astype(np.float32))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("channels", CHANNELS)
def test_floats_become_their_mean(size, channels):
    samples = values(size, channels, "float32")
    mono = mixdown(samples, channels=channels)
    expected = samples.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    if channels < 8:
        assert_array_equal(mono, expected)
    # numpy adds many in another order.
    assert_allclose(mono, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_bytes_at_any_address_are_read(dtype, channels):
    samples = values(100, channels, dtype)
    for at in range(1, 9):
        moved = np.frombuffer(bytes(at) + samples.tobytes(), samples.dtype, offset=at)
        assert_array_equal(mixdown(moved, channels=channels), mixdown(samples, channels=channels))


def test_rows_of_channels_and_arrays_with_gaps_are_read_like_flat_ones():
    samples = values(50, 4, "float32").reshape(50, 4)
    assert_array_equal(mixdown(samples, channels=4), mixdown(samples.ravel(), channels=4))
    assert_array_equal(
        mixdown(samples[:, :2], channels=2), mixdown(samples[:, :2].ravel(), channels=2)
    )


def test_mono_floats_are_copied():
    samples = values(10, 1, "float32")
    mono = mixdown(samples, channels=1)
    samples[:] = 0
    assert mono.all()


@pytest.mark.parametrize("extreme", [-32_768, 32_767])
@pytest.mark.parametrize("channels", CHANNELS)
def test_full_scale_of_all_channels_does_not_overflow(extreme, channels):
    samples = np.full(20 * channels, extreme, np.int16)
    assert_array_equal(mixdown(samples, channels=channels), np.float32(extreme / 32_768))


@pytest.mark.parametrize("size", [5, 7])
def test_a_part_of_a_sample_is_rejected(size):
    with pytest.raises(ValueError, match=f"{size} values.*3 channels"):
        mixdown(np.zeros(size, np.int16), channels=3)


def test_samples_of_another_type_are_rejected():
    for channels in (1, 2):
        with pytest.raises(TypeError, match="float64"):
            mixdown(np.zeros(4), channels=channels)
