"""The variants by name: what each does, and that seeds decide everything."""

import random

import numpy as np
import pytest
from joblib import Parallel, delayed

from training.recordings import augment
from training.recordings.augment import (
    VARIANTS,
    apply_variant,
    check_names,
    seed_of,
    seeded,
    speed_of,
)
from training.recordings.collection import CollectionError

RATE = 22_050
NINE = (
    "random_noise", "background_mask", "pitch_adjust", "harmonic_noise", "volume_sections",
    "pitch_change", "volume", "speed", "masked_normalisation",
)  # fmt: skip


@pytest.fixture(scope="module")
def tone():
    """Half loud and half soft, 440 Hz with partials, 2 s."""
    time = np.arange(2 * RATE) / RATE
    wave = sum(np.sin(2 * np.pi * 440 * n * time) / n for n in (1, 2, 3))
    return (0.2 * wave * np.where(time < 1, 1.0, 0.2)).astype(np.float32)


def varied(samples, name, seed=3, length=None, **settings):
    return apply_variant(samples, name, seed, length=length or len(samples), **settings)


def rms(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def pitch(samples):
    """The strongest frequency below 1 kHz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)), 1 << 18))
    return int(np.argmax(spectrum[: (1 << 18) * 1000 // RATE])) * RATE / (1 << 18)


def test_the_nine_and_three_more_are_there_by_name():
    assert tuple(VARIANTS) == (*NINE, "room", "codec", "microphone")


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_keeps_the_length_and_differs_and_the_seed_decides(tone, name):
    one = varied(tone, name)
    assert one.shape == tone.shape
    assert one.dtype == np.float32
    assert np.isfinite(one).all()
    assert np.abs(one).max() <= 1
    assert not np.allclose(one, tone, atol=1e-3)
    assert np.array_equal(one, varied(tone, name))
    assert not np.array_equal(one, varied(tone, name, seed=4))


@pytest.mark.parametrize("name", VARIANTS)
def test_silence_stays_silence(name):
    assert not varied(np.zeros(RATE, np.float32), name).any()


def test_samples_are_the_same_in_any_number_of_processes(tone):
    alone = [varied(tone, name, seed) for name in VARIANTS for seed in (1, 2)]
    work = (
        delayed(apply_variant)(tone, name, seed, length=len(tone))
        for name in VARIANTS
        for seed in (1, 2)
    )
    for mine, other in zip(alone, Parallel(n_jobs=2)(work), strict=True):
        assert np.array_equal(mine, other)


def test_samples_are_the_same_in_any_number_of_threads(tone):
    work = (
        delayed(apply_variant)(tone, name, seed, length=len(tone))
        for name in VARIANTS
        for seed in (1, 2)
    )
    threads = Parallel(n_jobs=4, prefer="threads")(work)
    for (name, seed), other in zip(
        [(n, s) for n in VARIANTS for s in (1, 2)], threads, strict=True
    ):
        assert np.array_equal(varied(tone, name, seed), other)


def test_the_global_generators_are_put_back():
    def draw():
        return random.random(), np.random.normal()  # noqa: NPY002

    before = random.getstate(), np.random.get_state()  # noqa: NPY002
    expected = draw()
    random.setstate(before[0])
    np.random.set_state(before[1])  # noqa: NPY002
    with seeded(7):
        inside = draw()
    assert draw() == expected != inside


@pytest.mark.parametrize(
    ("name", "least", "most"), [("random_noise", 5, 40), ("harmonic_noise", 10, 35)]
)
def test_noises_stand_below_the_sound(tone, name, least, most):
    for seed in range(5):
        ratio = 20 * np.log10(rms(tone) / rms(varied(tone, name, seed) - tone))
        assert least - 0.5 <= ratio <= most + 0.5


def test_harmonic_noise_is_made_of_partials_of_one_tone(tone):
    spectrum = np.abs(np.fft.rfft((varied(tone, "harmonic_noise") - tone) * np.hanning(len(tone))))
    peaks = np.sort(spectrum)[::-1]
    assert peaks[:60].sum() > 0.9 * peaks.sum()


@pytest.mark.parametrize(("name", "semitones"), [("pitch_adjust", 0.5), ("pitch_change", 3.0)])
def test_pitches_move_no_further_than_said(tone, name, semitones):
    moved = [12 * np.log2(pitch(varied(tone, name, seed)) / pitch(tone)) for seed in range(6)]
    assert max(map(abs, moved)) <= semitones + 0.1
    assert max(moved) - min(moved) > semitones / 4


def test_volume_is_one_factor_and_sections_are_several(tone):
    whole, parts = (varied(tone, name) for name in ("volume", "volume_sections"))
    loud = np.abs(tone) > 0.05
    assert np.ptp(whole[loud] / tone[loud]) < 1e-3
    gains = parts[loud] / tone[loud]
    assert np.ptp(gains) > 0.1
    assert 10 ** (-12.1 / 20) < gains.min() < gains.max() < 10 ** (6.1 / 20)


def test_masked_normalisation_brings_loud_and_soft_together(tone):
    level = [rms(x[:RATE]) / rms(x[RATE:]) for x in (tone, varied(tone, "masked_normalisation"))]
    assert level[1] < level[0] / 1.3


def test_speed_keeps_the_pitch_and_reads_on_in_the_clip(tone):
    for seed in range(4):
        speed = speed_of("speed", seed)
        assert 0.8 <= speed <= 1.25
        assert speed_of("volume", seed) == 1
        burst = np.tile(tone, 2)
        out = apply_variant(burst[: int(len(tone) * speed)], "speed", seed, length=len(tone))
        assert len(out) == len(tone)
        assert abs(pitch(out) - pitch(tone)) < 3
        # The soft half begins after 1 s of the clip.
        softer = (
            np.argmax(np.convolve(np.abs(out), np.ones(800) / 800, mode="same")[2000:] < 0.05)
            + 2000
        )
        assert softer / RATE == pytest.approx(1 / speed, abs=0.08)


@pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated")
def test_backgrounds_come_from_a_folder_where_one_is_named(tone, tmp_path, write_sound):
    write_sound(tmp_path / "street.wav", hertz=3000)
    spectrum = np.abs(np.fft.rfft(varied(tone, "background_mask", background=str(tmp_path)) - tone))
    assert np.argmax(spectrum) * RATE / len(tone) == pytest.approx(3000, abs=2)


def test_seeds_differ_by_recipe_recording_place_and_variant():
    seeds = {
        seed_of(*some)
        for some in [(1, "a", 0.0, "x"), (2, "a", 0.0, "x"), (1, "b", 0.0, "x"), (1, "a", 1.0, "x")]
    }
    assert len(seeds | {seed_of(1, "a", 0.0, "y")}) == 5


def test_a_name_that_is_not_there_is_refused(tone):
    with pytest.raises(CollectionError, match="no variant 'echo'; there is random_noise"):
        varied(tone, "echo")
    with pytest.raises(CollectionError, match="named twice"):
        check_names(("room", "room"))


@pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated")
def test_a_folder_with_other_sounds_is_listed_again(tone, tmp_path, write_sound):
    def loudest(content):
        other = varied(tone, "background_mask", background=str(tmp_path), content=content) - tone
        return np.argmax(np.abs(np.fft.rfft(other))) * RATE / len(tone)

    write_sound(tmp_path / "street.wav", hertz=3000)
    assert loudest("one") == pytest.approx(3000, abs=2)
    (tmp_path / "street.wav").unlink()
    write_sound(tmp_path / "wind.wav", hertz=5000)
    assert loudest("two") == pytest.approx(5000, abs=2)


def test_of_transforms_whose_settings_are_drawn_few_are_kept():
    for at in range(100):
        augment._transform("TimeStretch", (("min_rate", 1 - at / 1_000), ("max_rate", 1.0)))
    assert augment._transform.cache_info().currsize < 100
