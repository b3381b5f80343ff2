from dataclasses import replace

import numpy as np
import pytest

from training.common.labels import RATE
from training.notes.augment import ROOMS, Augmentation, apply, compress, draw, level, room
from training.notes.mixtures import PRE_ROLL, WINDOW


@pytest.fixture
def noise():
    return np.random.default_rng(0).normal(0, 0.1, PRE_ROLL + WINDOW).astype(np.float32)


def db(x):
    return 10 * np.log10(np.mean(np.square(x, dtype=np.float64)))


def band(x, low, high):
    spectrum = np.abs(np.fft.rfft(x)) ** 2
    frequency = np.fft.rfftfreq(len(x), 1 / RATE)
    return 10 * np.log10(spectrum[(frequency >= low) & (frequency < high)].mean() + 1e-12)


def test_nothing_drawn_changes_nothing_but_the_level(noise):
    result = apply(noise, Augmentation(peak_db=-6.0))
    assert result.shape == (WINDOW,)
    assert result.dtype == np.float32
    assert np.abs(result).max() == pytest.approx(10 ** (-6 / 20), rel=1e-4)
    assert np.corrcoef(result, noise[PRE_ROLL:])[0, 1] > 0.99999


def test_what_is_drawn_depends_on_the_generator_alone():
    assert draw(np.random.default_rng(3)) == draw(np.random.default_rng(3))
    assert draw(np.random.default_rng(3)) != draw(np.random.default_rng(4))


def test_applying_twice_gives_the_same(noise):
    for seed in range(20):
        drawn = draw(np.random.default_rng(seed))
        assert np.array_equal(apply(noise, drawn), apply(noise, drawn))


def test_every_draw_gives_a_sound_window(noise):
    for seed in range(200):
        result = apply(noise, draw(np.random.default_rng(seed)))
        assert result.shape == (WINDOW,)
        assert np.isfinite(result).all()
        assert 0 < np.abs(result).max() <= 1.0001


def test_silence_stays_silence():
    for seed in range(40):
        assert not apply(
            np.zeros(PRE_ROLL + WINDOW, np.float32), draw(np.random.default_rng(seed))
        ).any()


def test_a_tilt_is_so_many_decibels_an_octave(noise):
    flat, tilted = (apply(noise, Augmentation(tilt=tilt)) for tilt in (0.0, -3.0))
    slopes = [band(x, 1800, 2200) - band(x, 900, 1100) for x in (flat, tilted)]
    assert slopes[1] - slopes[0] == pytest.approx(-3.0, abs=0.2)


def test_a_bump_lifts_its_band(noise):
    flat, lifted = (
        apply(noise, Augmentation()),
        apply(noise, Augmentation(bumps=((1.0, 0.3, 10.0),))),
    )
    gain = {
        low: band(lifted, low, high) - band(flat, low, high)
        for low, high in ((1250, 1310), (100, 200))
    }
    assert gain[1250] - gain[100] == pytest.approx(10.0, abs=0.5)


def test_nothing_is_left_above_the_high_cut_nor_much_below_the_low_cut(noise):
    result = apply(noise, Augmentation(high_cut=4000.0, low_cut=200.0))
    assert band(result, 4100, 11000) < band(result, 1000, 2000) - 30
    assert band(result, 30, 60) < band(result, 1000, 2000) - 15


def test_noise_stands_at_the_ratio_drawn(noise):
    clean = apply(noise, Augmentation())
    noisy = apply(noise, Augmentation(noise=(0.0, 20.0, 7)))
    scale = np.dot(noisy, clean) / np.dot(clean, clean)
    assert db(scale * clean) - db(noisy - scale * clean) == pytest.approx(20, abs=0.7)


def test_a_room_rings_on_after_the_sound():
    burst = np.zeros(PRE_ROLL + WINDOW, np.float32)
    burst[PRE_ROLL + 1000] = 1.0
    dry, wet = apply(burst, Augmentation()), apply(burst, Augmentation(room=3, wet=0.8))
    assert not np.any(np.abs(dry[1100:]) > 1e-4)
    assert np.any(np.abs(wet[1500:]) > 1e-3)


def test_what_rang_before_the_window_is_heard_in_it_and_nothing_comes_round():
    before = np.zeros(PRE_ROLL + WINDOW, np.float32)
    before[PRE_ROLL - 2000] = 1.0
    longest = max(range(ROOMS), key=lambda number: np.abs(np.fft.irfft(room(number))[8000:]).sum())
    wet = apply(before, Augmentation(room=longest, wet=0.9))
    assert np.abs(wet[:4000]).max() > np.abs(wet[-20000:]).max() * 3


def test_rooms_differ_and_have_the_same_energy():
    echoes = [np.fft.irfft(room(number)) for number in range(12)]
    assert all(np.linalg.norm(echo) == pytest.approx(1, rel=1e-3) for echo in echoes)
    tails = [np.sum(echo[RATE // 4 :] ** 2) for echo in echoes]
    assert max(tails) > 20 * min(tails)


def test_a_second_path_cuts_notches(noise):
    result = apply(noise, Augmentation(comb=(0.001, 0.7)))
    assert band(result, 480, 520) < band(result, 980, 1020) - 10


def test_clipping_flattens_peaks(noise):
    result = apply(noise, Augmentation(clip=0.5))
    assert np.count_nonzero(np.abs(result) > 0.9999) > 20


def test_saturation_raises_what_is_quiet(noise):
    plain, driven = apply(noise, Augmentation()), apply(noise, Augmentation(drive=2.5))
    assert db(driven) > db(plain) + 1


def test_mp3_keeps_the_length_and_the_sound(make_tone):
    sound = make_tone(69, 2.0)
    coded = compress(sound, 0.8)
    assert coded.shape == sound.shape
    assert not np.array_equal(coded, sound)
    assert db(coded) == pytest.approx(db(sound), abs=1.0)


def test_the_level_is_the_peak():
    assert np.abs(level(np.array([0.1, -0.5], np.float32), -20.0)).max() == pytest.approx(0.1)
    assert replace(Augmentation(), peak_db=-3.0).peak_db == -3.0
